// A channel's moments are kept, apart from those that they were merged from: what one process tells the others of its share of a
// batch, or what all of theirs give.
@group(0) @binding(38) var<storage, read_write> combined: array<Moments>;

fn save(row: u32, segment: u32, m: Moments) {
    combined[params.partial_first + row] = m;
}
