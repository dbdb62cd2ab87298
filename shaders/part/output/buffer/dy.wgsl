// The gradient that the backward's other kernels begin with.
@group(0) @binding(13) var<storage, read_write> dy: array<Stored>;

fn store(i: u32, v: Values) {
    dy[binding_index(i)] = pack(v);
}

// What is there, and to put it back.
fn load_output(i: u32) -> Unit {
    return dy[binding_index(i)];
}

fn store_unit(i: u32, unit: Unit) {
    dy[binding_index(i)] = unit;
}
