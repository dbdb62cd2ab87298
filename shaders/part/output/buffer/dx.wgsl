// The gradient of the input.
@group(0) @binding(14) var<storage, read_write> dx: array<Stored>;
override ACCUMULATE: bool = false; // add to what is there

fn put(i: u32, v: Values) {
    if ACCUMULATE {
        dx[place(i)] = pack(unpack(dx[place(i)]) + v);
    } else {
        dx[place(i)] = pack(v);
    }
}

// What is there, and to put it back.
fn stored(i: u32) -> Unit {
    return dx[place(i)];
}

fn restore(i: u32, unit: Unit) {
    dx[place(i)] = unit;
}
