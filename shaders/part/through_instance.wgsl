// How a switchable norm's loss changes with the mixed mean and variance of instance `row`, each by its scale:
// dL/dmean = -x and dL/dvar = -y / 2.
fn through_instance(row: u32, s: Statistics) -> vec2<f32> {
    let sum = closed(instance_sums(row)) * (s.scale * weight_at(row % params.channels));
    return vec2(sum.x, sum.y * s.scale);
}

fn instance_sums(row: u32) -> Sums {
    var sum = sums[row * params.sum_parts];
    for (var part = 1u; part < params.sum_parts; part++) {
        sum = join_sums(sum, sums[row * params.sum_parts + part]);
    }
    return sum;
}
