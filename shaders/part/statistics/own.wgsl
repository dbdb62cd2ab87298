// Statistics that a combine has written, of rows that each have their own.
@group(0) @binding(6) var<storage, read> statistics: array<Statistics>;

fn statistics_for(row: u32) -> Statistics {
    let s = statistics[row];
    return Statistics(opaque(s.shift), s.mean, s.rstd);
}
