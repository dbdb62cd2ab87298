// What the app computes itself: the gradient of the loss by the norm's output, and a step of gradient descent.

@group(0) @binding(0) var<storage, read> y: array<f32>;
@group(0) @binding(1) var<storage, read> wanted: array<f32>;
@group(0) @binding(2) var<storage, read_write> dy: array<f32>;

// Of the loss, the mean over rows of Σ (y − wanted)² / 2.
@compute @workgroup_size(64)
fn loss_gradient(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < arrayLength(&dy) {
        dy[id.x] = (y[id.x] - wanted[id.x]) / f32(ROWS);
    }
}

override ROWS: u32 = 1u;
override LEARNING_RATE: f32 = 0.1;

@group(0) @binding(0) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;

@compute @workgroup_size(64)
fn sgd(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < arrayLength(&parameter) {
        parameter[id.x] -= LEARNING_RATE * gradient[id.x];
    }
}
