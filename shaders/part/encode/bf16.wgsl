// Two f32 to bf16 in a word, rounded to nearest even. NaN keeps its upper half, made quiet, so that rounding cannot carry it into
// infinity.
fn encode(v: vec2<f32>) -> u32 {
    let bits = bitcast<vec2<u32>>(v);
    let rounded = bits + vec2(0x7fffu) + ((bits >> vec2(16u)) & vec2(1u));
    let nan = (bits & vec2(0x7fffffffu)) > vec2(0x7f800000u);
    let stored = select(rounded, bits | vec2(0x400000u), nan);
    return (stored.x >> 16u) | (stored.y & 0xffff0000u);
}
