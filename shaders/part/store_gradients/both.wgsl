// The gradients of weight and bias.
@group(0) @binding(17) var<storage, read_write> weight_gradient: array<f32>;
@group(0) @binding(18) var<storage, read_write> bias_gradient: array<f32>;
override ACCUMULATE: bool = false; // add to what is there
const STORES_GRADIENTS = true;

fn store_gradients(i: u32, sum: vec2<f32>) {
    if ACCUMULATE {
        weight_gradient[i] += sum.y;
        bias_gradient[i] += sum.x;
    } else {
        weight_gradient[i] = sum.y;
        bias_gradient[i] = sum.x;
    }
}
