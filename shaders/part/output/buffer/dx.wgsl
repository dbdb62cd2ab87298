// The gradient of the input.
@group(0) @binding(14) var<storage, read_write> dx: array<Stored>;
override ACCUMULATE: bool = false; // add to what is there

fn store(i: u32, v: Values) {
    if ACCUMULATE {
        dx[output_index(i)] = pack(unpack(dx[output_index(i)]) + v);
    } else {
        dx[output_index(i)] = pack(v);
    }
}

// What is there, and to put it back.
fn load_output(i: u32) -> Unit {
    return dx[output_index(i)];
}

fn store_unit(i: u32, unit: Unit) {
    dx[output_index(i)] = unit;
}
