// A weight, no bias, read in fours.
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>;

fn own_weight(i: u32) -> f32 {
    return weight[i / 4u][i % 4u];
}

fn own_bias(i: u32) -> f32 {
    return 0.0;
}

fn own_weight_quad(i: u32) -> vec4<f32> {
    return weight[i / 4u];
}

fn own_bias_quad(i: u32) -> vec4<f32> {
    return vec4(0.0);
}
