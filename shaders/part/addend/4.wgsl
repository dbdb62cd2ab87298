// What is added, of which units are four words: for a plane's value its own alone is loaded.
@group(0) @binding(22) var<storage, read> add_before: array<Stored>;

fn of_plane(plane: u32) -> f32 {
    return add_before[plane / 4u][plane % 4u];
}
