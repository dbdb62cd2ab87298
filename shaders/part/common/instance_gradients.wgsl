// How a switchable norm's loss changes with the mixed mean and variance of instance `row`, each by its rstd:
// dL/dmean = -.x and dL/dvar = -.y / 2.
fn instance_gradients(row: u32, s: Statistics) -> vec2<f32> {
    let sum = compensated(instance_sums(row)) * (s.rstd * weight_at(parameter(row % params.channels, row)));
    return vec2(sum.x, sum.y * s.rstd);
}

override ONE_SUM: bool = false; // params.sum_parts is 1

fn instance_sums(row: u32) -> Sums {
    if ONE_SUM {
        return Sums(sums[row].x, sums[row].y, 0.0, 0.0);
    }
    var own = Sums();
    for (var part = 0u; part < params.sum_parts; part++) {
        let sum = sums[row * params.sum_parts + part];
        own = add(own, sum.x, sum.y);
    }
    return own;
}
