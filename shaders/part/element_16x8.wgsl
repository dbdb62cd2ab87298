// f16 or bf16, eight per 16-byte unit. They stay packed until they are used, which halves the registers; a matrix
// serves as a vector of eight (its own product is not used).
alias Unit = vec4<u32>;
alias Values = mat2x4<f32>;
const WIDTH = 8u;

fn pack(v: Values) -> Unit {
    return vec4(encode(v[0].xy), encode(v[0].zw), encode(v[1].xy), encode(v[1].zw));
}

fn unpack(unit: Unit) -> Values {
    return mat2x4(vec4(decode(unit.x), decode(unit.y)), vec4(decode(unit.z), decode(unit.w)));
}

fn splat(s: f32) -> Values {
    return mat2x4(vec4(s), vec4(s));
}

fn opaque_each(v: Values) -> Values {
    let zero = vec4(params.zero);
    return mat2x4(bitcast<vec4<f32>>(bitcast<vec4<u32>>(v[0]) ^ zero), bitcast<vec4<f32>>(bitcast<vec4<u32>>(v[1]) ^ zero));
}

fn times_each(a: Values, b: Values) -> Values {
    return mat2x4(
        select(a[0] * b[0], vec4(0.0), a[0] == vec4(0.0)),
        select(a[1] * b[1], vec4(0.0), a[1] == vec4(0.0)),
    );
}

fn finite_each(v: Values) -> Values {
    let most = vec4(0x7f800000u);
    return mat2x4(
        select(vec4(0.0), v[0], (bitcast<vec4<u32>>(v[0]) & most) != most),
        select(vec4(0.0), v[1], (bitcast<vec4<u32>>(v[1]) & most) != most),
    );
}

fn mul(a: Values, b: Values) -> Values {
    return mat2x4(a[0] * b[0], a[1] * b[1]);
}

fn total(v: Values) -> f32 {
    let four = v[0] + v[1];
    return (four.x + four.y) + (four.z + four.w);
}

fn scalar(v: Values, k: u32) -> f32 {
    if k < 4u {
        return v[0][k];
    }
    return v[1][k - 4u];
}

fn gather(s: array<f32, WIDTH>) -> Values {
    return mat2x4(vec4(s[0], s[1], s[2], s[3]), vec4(s[4], s[5], s[6], s[7]));
}

fn first_scalar(v: Values) -> f32 {
    return v[0].x;
}
