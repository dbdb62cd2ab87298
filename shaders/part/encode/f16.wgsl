// Two f32 to f16 in a word, in integer arithmetic: no device feature, one rounding (to nearest, ties to even) on every driver,
// overflow to infinity, subnormals kept.
fn encode(v: vec2<f32>) -> u32 {
    let bits = bitcast<vec2<u32>>(v);
    let sign = (bits >> vec2(16u)) & vec2(0x8000u);
    let magnitude = bits & vec2(0x7fffffffu);
    let rounded = magnitude + vec2(0xfffu) + ((magnitude >> vec2(13u)) & vec2(1u));
    let normal = (rounded - vec2(112u << 23u)) >> vec2(13u);
    // The last place of 0.5 is 2^-24, f16's smallest step: the addition rounds.
    let subnormal = bitcast<vec2<u32>>(bitcast<vec2<f32>>(min(magnitude, vec2(0x38800000u))) + vec2(0.5)) - vec2(0x3f000000u);
    let small = select(normal, subnormal, magnitude < vec2(0x38800000u));
    let finite = select(small, vec2(0x7c00u), magnitude >= vec2(0x477ff000u));
    let h = sign | select(finite, vec2(0x7e00u), magnitude > vec2(0x7f800000u));
    return h.x | (h.y << 16u);
}
