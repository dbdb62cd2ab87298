// The gradient of the output is in dy or, where that is also dx, there, as of source/x_or_output.wgsl.
@group(0) @binding(13) var<storage, read> dy: array<Stored>;
override IN_PLACE: bool = false;

fn load_dy(i: u32) -> Unit {
    if IN_PLACE {
        return load_output(i);
    }
    let at = gradient_index(i);
    return unit_from(dy[stored_index(at)], at);
}
