// A weight and a bias.
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;

fn own_weight(i: u32) -> f32 {
    return weight[i];
}

fn own_bias(i: u32) -> f32 {
    return bias[i];
}
