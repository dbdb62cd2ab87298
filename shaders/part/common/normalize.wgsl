// y = ((x - shift) - mean) * (rstd * weight) + bias, of an element and of a unit.
fn normalize(value: f32, s: Statistics, base: Parameter, i: u32) -> f32 {
    let parameter = parameter_of(base, i);
    return (opaque(value - s.shift) - s.mean) * (s.rstd * weight_at(parameter)) + bias_at(parameter);
}

// The same for a unit whose first element is `i` of its row, and which lies in that row whole.
fn normalize_unit(values: Values, s: Statistics, base: Parameter, i: u32) -> Values {
    return mul(deviation(values, splat(s.shift), splat(s.mean)), weights_of(s.rstd, base, i)) + biases_of(base, i);
}
