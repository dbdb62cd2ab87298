// What dx needs of each set of elements that share a statistic.
@group(0) @binding(16) var<storage, read_write> coefficients: array<Coefficients>;
override CENTERED: bool = true; // false for RMS norm, whose mean is no statistic
const STORES_COEFFICIENTS = true;

fn store_coefficients(row: u32, sum: vec2<f32>) {
    let share = sum * (1.0 / f32(params.row_len));
    coefficients[row] = coefficients_of(statistics_for(row), vec2(select(0.0, share.x, CENTERED), share.y));
}
