// f32, four per 16-byte unit.
alias Unit = vec4<f32>;
alias Values = vec4<f32>;
alias Bits = vec4<u32>;
const WIDTH = 4u;

fn pack(v: Values) -> Unit {
    return v;
}

fn unpack(unit: Unit) -> Values {
    return unit;
}

fn total(v: Values) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

fn extract(v: Values, k: u32) -> f32 {
    return v[k];
}

fn from_array(s: array<f32, WIDTH>) -> Values {
    return vec4(s[0], s[1], s[2], s[3]);
}

fn extract_first(v: Values) -> f32 {
    return v.x;
}

// Elements k for which first + k is below end, which wraps, and 0 in place of others.
fn below(v: Values, first: u32, end: u32) -> Values {
    return select(Values(0.0), v, vec4(first) + vec4(0u, 1u, 2u, 3u) < vec4(end));
}
