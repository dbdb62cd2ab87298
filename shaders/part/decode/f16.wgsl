// Two f16 in a word, in integer arithmetic: no device feature, subnormals kept.
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
