// Moments of pieces of rows, written.
@group(0) @binding(5) var<storage, read_write> moments: array<Moments>;

fn save(row: u32, segment: u32, m: Moments) {
    moments[params.partial_first + row * params.partial_row + segment * params.partial_segment] = m;
}
