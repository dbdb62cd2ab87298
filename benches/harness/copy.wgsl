// The yardstick: y = x in 16-byte units, as a few shapes of work. Each invocation copies UNITS units, neighbours of one
// another or a workgroup apart.
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
override WORKGROUP: u32 = 64u;
override UNITS: u32 = 1u;
override TOGETHER: bool = false;

@compute @workgroup_size(WORKGROUP)
fn copy(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP * UNITS;
    let first = block + select(lane, lane * UNITS, TOGETHER);
    let step = select(WORKGROUP, 1u, TOGETHER);
    let length = arrayLength(&x);
    for (var k = 0u; k < UNITS; k++) {
        let i = first + k * step;
        if i < length {
            y[i] = x[i];
        }
    }
}
