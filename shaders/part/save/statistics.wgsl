// A row's statistics are kept, for a backward.
fn save(row: u32, segment: u32, m: Moments) {
    statistics[params.first + row] = statistics_of(m);
}
