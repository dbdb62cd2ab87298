// Two bf16 in a word: each the upper half of an f32.
fn decode(word: u32) -> vec2<f32> {
    return bitcast<vec2<f32>>(vec2(word << 16u, word & 0xffff0000u));
}
