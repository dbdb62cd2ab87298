// f16 or bf16, read one by one: for rows that may begin in the middle of a word. Two rows then share a word, so this
// width only reads.
alias Unit = f32;
alias Values = f32;
alias Bits = u32;
const WIDTH = 1u;
alias Stored = u32;

fn slot(i: u32) -> u32 {
    return i / 2u;
}

fn fetch(stored: Stored, i: u32) -> Unit {
    return decode(stored)[i % 2u];
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

fn gather(s: array<f32, WIDTH>) -> Values {
    return s[0];
}
