// What comes of it.
@group(0) @binding(1) var<storage, read_write> y: array<Stored>;

fn store(i: u32, v: Values) {
    y[i] = pack(v);
}
