// f16 or bf16, one by one: for rows that may begin in the middle of a word. Two rows then share a word, which only
// reading may (storage/half.wgsl).
alias Unit = f32;
alias Values = f32;
alias Bits = u32;
const WIDTH = 1u;

// Rounded as if it were stored.
fn pack(v: Values) -> Unit {
    return decode(encode(vec2(v, 0.0))).x;
}

fn unpack(unit: Unit) -> Values {
    return unit;
}

fn total(v: Values) -> f32 {
    return v;
}

fn extract_first(v: Values) -> f32 {
    return v;
}

fn extract(v: Values, k: u32) -> f32 {
    return v;
}

fn from_array(s: array<f32, WIDTH>) -> Values {
    return s[0];
}

// Elements k for which first + k is below end, which wraps, and 0 in place of others.
fn below(v: Values, first: u32, end: u32) -> Values {
    return select(Values(0.0), v, first < end);
}
