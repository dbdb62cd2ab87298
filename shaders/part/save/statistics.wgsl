// A row's statistics are kept, for a backward.
override SAVES: bool = true; // there is one

fn save(row: u32, segment: u32, m: Moments) {
    if SAVES {
        statistics[params.first + row] = statistics_of(m);
    }
}
