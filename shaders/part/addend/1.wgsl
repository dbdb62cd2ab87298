// What is added, of which units are words, or halves of them.
@group(0) @binding(22) var<storage, read> add_before: array<Stored>;

fn load_addend(i: u32) -> Values {
    return unpack(unit_from(add_before[stored_index(i)], i));
}

fn of_plane(plane: u32) -> f32 {
    return extract(load_addend(plane / WIDTH), plane % WIDTH);
}
