// Arithmetic of Values that are a scalar or a vector.
fn splat(s: f32) -> Values {
    return Values(s);
}

fn mul(a: Values, b: Values) -> Values {
    return a * b;
}
