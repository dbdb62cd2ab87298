// What is normalized is a sum, rounded as it would be stored.
@group(0) @binding(22) var<storage, read> add_before: array<Stored>;

fn load_x(i: u32) -> Unit {
    let at = binding_index(i);
    return pack(unpack(load_source(i)) + unpack(unit_from(add_before[stored_index(at)], at)));
}
