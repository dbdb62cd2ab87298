// What comes of it.
@group(0) @binding(1) var<storage, read_write> y: array<Stored>;

fn put(i: u32, v: Values) {
    y[place(i)] = pack(v);
}

// What is there, and to put it back.
fn stored(i: u32) -> Unit {
    return y[place(i)];
}

fn restore(i: u32, unit: Unit) {
    y[place(i)] = unit;
}
