// The gradient of the weight, without a bias.
@group(0) @binding(17) var<storage, read_write> weight_gradient: array<f32>;
override ACCUMULATE: bool = false; // add to what is there
const STORES_GRADIENTS = true;

fn store_gradients(i: u32, sum: vec2<f32>) {
    if ACCUMULATE {
        weight_gradient[i] += sum.y;
    } else {
        weight_gradient[i] = sum.y;
    }
}
