// Two f32 to f16 in a word, in integer arithmetic: no device feature, one rounding (to nearest, ties to even) on every driver,
// overflow to infinity, subnormals kept.
fn encode(v: vec2<f32>) -> u32 {
    let bits = bitcast<vec2<u32>>(v);
    let magnitude = bits & vec2(0x7fffffffu);
    // From 65520 on they round to 65536, whose exponent is that of infinity.
    let fits = min(magnitude, vec2(0x47800000u));
    let rounded = fits + ((fits >> vec2(13u)) & vec2(1u)) + vec2(0xfffu);
    let normal = (max(rounded, vec2(112u << 23u)) - vec2(112u << 23u)) >> vec2(13u);
    // The last place of 0.5 is 2^-24, f16's smallest step: the addition rounds. Of what is normal it is no more than `normal`.
    let subnormal = bitcast<vec2<u32>>(bitcast<vec2<f32>>(min(magnitude, vec2(0x38800000u))) + vec2(0.5)) - vec2(0x3f000000u);
    let h = select(max(normal, subnormal), vec2(0x7e00u), magnitude > vec2(0x7f800000u));
    return h.x | (h.y << 16u) | ((bits.x >> 16u) & 0x8000u) | (bits.y & 0x80000000u);
}
