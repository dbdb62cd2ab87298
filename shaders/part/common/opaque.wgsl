// A value that no compiler may look into. Some of the arithmetic here means what it says only as it is rounded:
// `(a + b) - a` is not `b`, `(x - shift) - mean` is not `x - (shift + mean)`. WGSL and naga have no word for that, Mesa
// rewrites the one, Metal's fast math is free to rewrite both. Here a zero is mixed into the bits that only the uniform
// knows of: what comes out is the same number and, to a compiler, any number.
fn opaque(v: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(v) ^ params.zero);
}

// Whether it is neither infinite nor NaN: in integers, as fast math takes numbers for finite.
fn is_finite(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7f800000u) != 0x7f800000u;
}
