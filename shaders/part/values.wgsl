// Arithmetic of Values that are a scalar or a vector.
fn splat(s: f32) -> Values {
    return Values(s);
}

fn opaque_each(v: Values) -> Values {
    return bitcast<Values>(bitcast<Bits>(v) ^ Bits(params.zero));
}

fn mul(a: Values, b: Values) -> Values {
    return a * b;
}
