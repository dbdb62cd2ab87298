// Arithmetic of Values that are a scalar or a vector, whose bits are Bits.
fn splat(s: f32) -> Values {
    return Values(s);
}

fn opaque_each(v: Values) -> Values {
    return bitcast<Values>(bitcast<Bits>(v) ^ Bits(params.zero));
}

fn mul_or_zero_each(a: Values, b: Values) -> Values {
    return select(a * b, Values(0.0), a == Values(0.0));
}

// 0 in place of what is infinite or NaN.
fn finite_or_zero(v: Values) -> Values {
    return select(Values(0.0), v, (bitcast<Bits>(v) & Bits(0x7f800000u)) != Bits(0x7f800000u));
}

fn mul(a: Values, b: Values) -> Values {
    return a * b;
}

// What functions of vectors take.
alias Part = Values;

fn first_part(v: Values) -> Part {
    return v;
}

fn second_part(v: Values) -> Part {
    return Part(0.0);
}

fn from_parts(first: Part, second: Part) -> Values {
    return first;
}
