// What is normalized.
@group(0) @binding(0) var<storage, read> x: array<Stored>;

fn load_x(i: u32) -> Unit {
    return unit_from(x[stored_index(binding_index(i))], binding_index(i));
}
