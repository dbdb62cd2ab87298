// What is added, of which units are words, or halves of them.
@group(0) @binding(22) var<storage, read> add_before: array<Stored>;

fn of_plane(plane: u32) -> f32 {
    let unit = plane / WIDTH;
    return extract(unpack(unit_from(add_before[stored_index(unit)], unit)), plane % WIDTH);
}
