// What stands beside a norm as kernels of their own, in 16-byte units, one each.
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> b: array<vec4<f32>>;
override SILU: bool = false;      // else relu
override SAMPLE: u32 = 1u;        // units of a sample
override WIDTH: u32 = 1u;         // of them, those that have parameters of their own
override PLANE: u32 = 0u;         // or units of a plane, which has one parameter
override FROM_ONE: bool = false;

struct Builtins {
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
}

fn unit(b: Builtins) -> u32 {
    return (b.workgroup.x + b.workgroup.y * b.workgroups.x) * 256u + b.lane;
}

@compute @workgroup_size(256)
fn add(builtins: Builtins) {
    let i = unit(builtins);
    if i < arrayLength(&x) {
        y[i] = x[i] + a[i];
    }
}

@compute @workgroup_size(256)
fn activate(builtins: Builtins) {
    let i = unit(builtins);
    if i < arrayLength(&x) {
        y[i] = select(max(x[i], vec4(0.0)), x[i] / (1.0 + exp(-x[i])), SILU);
    }
}

@compute @workgroup_size(256)
fn modulate(builtins: Builtins) {
    let i = unit(builtins);
    if i < arrayLength(&x) {
        let one = select(0.0, 1.0, FROM_ONE);
        if PLANE > 0u {
            let plane = i / max(PLANE, 1u);
            y[i] = x[i] * (one + a[plane / 4u][plane % 4u]) + b[plane / 4u][plane % 4u];
        } else {
            let own = i / SAMPLE * WIDTH + i % WIDTH;
            y[i] = x[i] * (one + a[own]) + b[own];
        }
    }
}
