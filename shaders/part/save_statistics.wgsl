// A row's statistics are kept, for a backward.
@group(0) @binding(6) var<storage, read_write> statistics: array<Statistics>;

fn save(row: u32, segment: u32, m: Moments) {
    statistics[params.first + row] = statistics_of(m);
}
