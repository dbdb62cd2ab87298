// The app's own shaders around the norm: one fills the activations, one is the ReLU behind the norm.
@group(0) @binding(0) var<storage, read_write> values: array<f32>;

// Noise from -1 to 1 that a CPU repeats exactly.
@compute @workgroup_size(64)
fn fill(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < arrayLength(&values) {
        let hash = (id.x + 1u) * 2654435761u;
        values[id.x] = f32(hash >> 8u) / 8388608.0 - 1.0;
    }
}

@compute @workgroup_size(64)
fn relu(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < arrayLength(&values) {
        values[id.x] = max(values[id.x], 0.0);
    }
}
