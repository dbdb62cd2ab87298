// No weight, no bias, read in fours all the same.
fn own_weight(i: u32) -> f32 {
    return 1.0;
}

fn own_bias(i: u32) -> f32 {
    return 0.0;
}

fn own_weight_quad(i: u32) -> vec4<f32> {
    return vec4(1.0);
}

fn own_bias_quad(i: u32) -> vec4<f32> {
    return vec4(0.0);
}
