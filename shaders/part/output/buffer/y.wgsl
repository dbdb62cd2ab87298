// What comes of it.
@group(0) @binding(1) var<storage, read_write> y: array<Stored>;

fn store(i: u32, v: Values) {
    y[output_index(i)] = pack(v);
}

// What is there, and to put it back.
fn load_output(i: u32) -> Unit {
    return y[output_index(i)];
}

fn store_unit(i: u32, unit: Unit) {
    y[output_index(i)] = unit;
}
