// What is added, of which units are four words of two elements: for a plane's value its word alone is loaded.
@group(0) @binding(22) var<storage, read> add_before: array<Stored>;

fn of_plane(plane: u32) -> f32 {
    return decode(add_before[plane / 8u][plane / 2u % 4u])[plane % 2u];
}
