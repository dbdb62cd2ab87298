// Two f16 in a word, in integer arithmetic: no device feature, one rounding (to nearest, ties to even) on every
// driver, overflow to infinity, subnormals kept.
fn decode(word: u32) -> vec2<f32> {
    let h = vec2(word & 0xffffu, word >> 16u);
    let sign = (h & vec2(0x8000u)) << vec2(16u);
    let magnitude = h & vec2(0x7fffu);
    let normal = (magnitude << vec2(13u)) + vec2(112u << 23u);
    let special = (magnitude << vec2(13u)) | vec2(0x7f800000u); // infinity and NaN
    let subnormal = bitcast<vec2<u32>>(vec2<f32>(magnitude) * 5.9604644775390625e-8); // * 2^-24
    let whole = select(normal, special, magnitude >= vec2(0x7c00u));
    return bitcast<vec2<f32>>(sign | select(whole, subnormal, magnitude < vec2(0x400u)));
}

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
