// f16 or bf16, two per word.
alias Unit = u32;
alias Values = vec2<f32>;
alias Bits = vec2<u32>;
const WIDTH = 2u;

fn pack(v: Values) -> Unit {
    return encode(v);
}

fn unpack(unit: Unit) -> Values {
    return decode(unit);
}

fn total(v: Values) -> f32 {
    return v.x + v.y;
}

fn extract(v: Values, k: u32) -> f32 {
    return v[k];
}

fn from_array(s: array<f32, WIDTH>) -> Values {
    return vec2(s[0], s[1]);
}

fn extract_first(v: Values) -> f32 {
    return v.x;
}

// Elements k for which first + k is below end, which wraps, and 0 in place of others.
fn below(v: Values, first: u32, end: u32) -> Values {
    return select(Values(0.0), v, vec2(first, first + 1u) < vec2(end));
}
