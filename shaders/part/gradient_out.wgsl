// The gradient of the input.
@group(0) @binding(14) var<storage, read_write> dx: array<Stored>;
override ACCUMULATE: bool = false; // add to what is there

fn put(i: u32, v: Values) {
    if ACCUMULATE {
        dx[i] = pack(unpack(dx[i]) + v);
    } else {
        dx[i] = pack(v);
    }
}
