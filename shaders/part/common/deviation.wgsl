// How far values are from a mean that is held as a pair, which one subtraction would cost its digits
// (common/opaque.wgsl).
fn deviation(v: Values, shift: Values, mean: Values) -> Values {
    return from_shift(v, shift) - mean;
}

// The first half of it, where the other is taken off a sum at once.
fn from_shift(v: Values, shift: Values) -> Values {
    return opaque_each(v - shift);
}
