// What is normalized is kept, where it is a sum that somebody wants.
@group(0) @binding(23) var<storage, read_write> kept_sum: array<Stored>;
override KEEP: bool = false;

fn keep(i: u32, unit: Unit) {
    if KEEP {
        kept_sum[binding_index(i)] = unit;
    }
}
