// f16 or bf16, read one by one: for rows that may begin in the middle of a word. Two rows then share a word, so this
// width only reads.
alias Unit = f32;
alias Values = f32;
const WIDTH = 1u;
@group(0) @binding(0) var<storage, read> x: array<u32>;

fn load(i: u32) -> Unit {
    return decode(x[i / 2u])[i % 2u];
}

fn unpack(unit: Unit) -> Values {
    return unit;
}

fn total(v: Values) -> f32 {
    return v;
}

fn first_scalar(v: Values) -> f32 {
    return v;
}

fn scalar(v: Values, k: u32) -> f32 {
    return v;
}
