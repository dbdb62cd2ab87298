// f16 or bf16, eight per 16-byte unit. They stay packed until they are used, which halves the registers; a matrix
// serves as a vector of eight (its own product is not used).
alias Unit = vec4<u32>;
alias Values = mat2x4<f32>;
alias Bits = vec4<u32>; // of each half
const WIDTH = 8u;

fn pack(v: Values) -> Unit {
    return vec4(encode(v[0].xy), encode(v[0].zw), encode(v[1].xy), encode(v[1].zw));
}

fn unpack(unit: Unit) -> Values {
    return mat2x4(vec4(decode(unit.x), decode(unit.y)), vec4(decode(unit.z), decode(unit.w)));
}

fn total(v: Values) -> f32 {
    let four = v[0] + v[1];
    return (four.x + four.y) + (four.z + four.w);
}

fn extract(v: Values, k: u32) -> f32 {
    if k < 4u {
        return v[0][k];
    }
    return v[1][k - 4u];
}

fn from_array(s: array<f32, WIDTH>) -> Values {
    return mat2x4(vec4(s[0], s[1], s[2], s[3]), vec4(s[4], s[5], s[6], s[7]));
}

fn extract_first(v: Values) -> f32 {
    return v[0].x;
}

// Elements k for which first + k is below end, which wraps, and 0 in place of others.
fn below(v: Values, first: u32, end: u32) -> Values {
    let places = vec4(first) + vec4(0u, 1u, 2u, 3u);
    return mat2x4(
        select(vec4(0.0), v[0], places < vec4(end)),
        select(vec4(0.0), v[1], places + vec4(4u) < vec4(end)),
    );
}
