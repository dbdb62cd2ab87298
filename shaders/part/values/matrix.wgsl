// Arithmetic of Values that are a matrix, a vector for each half, whose bits are Bits.
fn splat(s: f32) -> Values {
    return mat2x4(vec4(s), vec4(s));
}

fn opaque_each(v: Values) -> Values {
    let zero = Bits(params.zero);
    return mat2x4(bitcast<vec4<f32>>(bitcast<Bits>(v[0]) ^ zero), bitcast<vec4<f32>>(bitcast<Bits>(v[1]) ^ zero));
}

fn mul_or_zero_each(a: Values, b: Values) -> Values {
    return mat2x4(
        select(a[0] * b[0], vec4(0.0), a[0] == vec4(0.0)),
        select(a[1] * b[1], vec4(0.0), a[1] == vec4(0.0)),
    );
}

fn finite_or_zero(v: Values) -> Values {
    let most = Bits(0x7f800000u);
    return mat2x4(
        select(vec4(0.0), v[0], (bitcast<Bits>(v[0]) & most) != most),
        select(vec4(0.0), v[1], (bitcast<Bits>(v[1]) & most) != most),
    );
}

fn mul(a: Values, b: Values) -> Values {
    return mat2x4(a[0] * b[0], a[1] * b[1]);
}

// What functions of vectors take.
alias Part = vec4<f32>;

fn first_part(v: Values) -> Part {
    return v[0];
}

fn second_part(v: Values) -> Part {
    return v[1];
}

fn from_parts(first: Part, second: Part) -> Values {
    return mat2x4(first, second);
}
