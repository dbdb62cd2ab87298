// How a switchable norm's loss changes with the mixed mean and variance of instance `row`, each by its scale:
// dL/dmean = -x and dL/dvar = -y / 2.
fn through_instance(row: u32, s: Statistics) -> vec2<f32> {
    let sum = closed(instance_sums(row)) * (s.scale * weight_at(row % params.channels));
    return vec2(sum.x, sum.y * s.scale);
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
