// No parameters, or none whose gradients are summed here.
const STORES_GRADIENTS = false;

fn store_gradients(i: u32, sum: vec2<f32>) {}
