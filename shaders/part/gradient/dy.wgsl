// The gradient of the output.
@group(0) @binding(13) var<storage, read> dy: array<Stored>;

fn load_dy(i: u32) -> Unit {
    let at = gradient_index(i);
    return unit_from(dy[stored_index(at)], at);
}
