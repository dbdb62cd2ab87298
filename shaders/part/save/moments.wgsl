// A row's moments, or those of its pieces, are kept for the kernel that merges them.
fn save(row: u32, segment: u32, m: Moments) {
    moments[params.partial_first + row * params.partial_row + segment * params.partial_segment] = m;
}
