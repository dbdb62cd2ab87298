// The gradient of the output.
@group(0) @binding(13) var<storage, read> dy: array<Stored>;

fn load_dy(i: u32) -> Unit {
    return unit_from(dy[stored_index(binding_index(i))], binding_index(i));
}
