// The shaders' error-free transformations, of one row of `given` each.
@group(0) @binding(0) var<storage, read> given: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> found: array<vec4<f32>>;

fn splat_last(s: f32) -> Values {
    var all: array<f32, WIDTH>;
    all[WIDTH - 1u] = s;
    return from_array(all);
}

@compute @workgroup_size(64)
fn exact(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if i >= arrayLength(&given) {
        return;
    }
    let v = given[i];
    let a = splat_last(v.x);
    let b = splat_last(v.y);
    let last = WIDTH - 1u;
    let sum = two_sum(v.x, v.y);
    let columns = add_dy_x(add_dy(ColumnSums(a, a, splat(0.0), splat(0.0)), b), b);
    let by_columns = vec4(
        extract(columns.dy, last),
        extract(columns.dy_error, last),
        extract(columns.dy_x, last),
        extract(columns.dy_x_error, last),
    );
    let merged = merge(Moments(1.0, v.x, v.z, 0.0), Moments(1.0, v.y, v.w, 0.0));
    let distance = extract(deviation(a, b, splat(v.z)), last);
    let at = i * 4u;
    found[at] = vec4(sum, recentered(v.x, v.y));
    found[at + 1u] = by_columns;
    found[at + 2u] = vec4(merged.shift, merged.mean, merged.m2, distance);
    found[at + 3u] = vec4(opaque(v.x), extract(opaque_each(a), last), f32(params.zero), 0.0);
}
