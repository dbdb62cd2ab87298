// A sum and what rounding takes from it (Knuth).
fn two_sum(a: f32, b: f32) -> vec2<f32> {
    let sum = opaque(a + b);
    let b_part = opaque(sum - a);
    let a_part = opaque(sum - b_part);
    return vec2(sum, opaque(a - a_part) + opaque(b - b_part));
}
