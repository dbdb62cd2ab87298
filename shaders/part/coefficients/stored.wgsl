// Coefficients that a combine has written.
@group(0) @binding(16) var<storage, read> coefficients: array<Coefficients>;
const THROUGH_STATISTICS = true; // dx depends on x, through the statistics

fn coefficients_for(row: u32) -> Coefficients {
    let c = coefficients[(row / params.statistics_run) % params.statistics_period];
    return Coefficients(opaque(c.shift), c.mean, c.rstd, c.of_xhat, c.constant);
}
