// A sum and what rounding takes from it (Knuth).
fn two_sum(a: f32, b: f32) -> vec2<f32> {
    let sum = a + b;
    let b_part = sum - a;
    return vec2(sum, (a - (sum - b_part)) + (b - b_part));
}
