// The statistics are taken as constants: dx is dy, scaled.
const THROUGH_STATISTICS = false;

fn coefficients_for(row: u32) -> Coefficients {
    let s = statistics_for(row);
    return Coefficients(s.shift, s.mean, s.rstd, 0.0, 0.0);
}
