// Statistics that a combine has written.
@group(0) @binding(6) var<storage, read> statistics: array<Statistics>;

fn statistics_for(row: u32) -> Statistics {
    let s = statistics[(row / params.statistics_run) % params.statistics_period];
    return Statistics(opaque(s.shift), s.mean, s.rstd);
}
