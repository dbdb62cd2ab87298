// f32, one per unit: for rows whose length is not a multiple of four.
alias Unit = f32;
alias Values = f32;
alias Bits = u32;
const WIDTH = 1u;

fn pack(v: Values) -> Unit {
    return v;
}

fn unpack(unit: Unit) -> Values {
    return unit;
}

fn total(v: Values) -> f32 {
    return v;
}

fn extract(v: Values, k: u32) -> f32 {
    return v;
}

fn from_array(s: array<f32, WIDTH>) -> Values {
    return s[0];
}

fn extract_first(v: Values) -> f32 {
    return v;
}

// Elements k for which first + k is below end, which wraps, and 0 in place of others.
fn below(v: Values, first: u32, end: u32) -> Values {
    return select(Values(0.0), v, first < end);
}
