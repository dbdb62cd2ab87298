// Statistics that a combine has written.
@group(0) @binding(6) var<storage, read> statistics: array<Statistics>;
override OWN_STATISTICS: bool = false; // each row has its own, which takes no divisions to find

fn statistics_for(row: u32) -> Statistics {
    var at = row;
    if !OWN_STATISTICS {
        at = (row / params.statistics_run) % params.statistics_period;
    }
    let s = statistics[at];
    return Statistics(opaque(s.shift), s.mean, s.rstd);
}
