// No parameters, or none whose gradients are summed here.
const CHANNELS = false;

fn put_parameter(i: u32, sum: vec2<f32>) {}
