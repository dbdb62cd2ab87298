// What is normalized.
@group(0) @binding(0) var<storage, read> x: array<Stored>;

fn load(i: u32) -> Unit {
    return fetch(x[slot(place(i))], place(i));
}
