// f16 or bf16, two per word.
alias Unit = u32;
alias Values = vec2<f32>;
const WIDTH = 2u;
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;

fn load(i: u32) -> Unit {
    return x[i];
}

fn store(i: u32, v: Values) {
    y[i] = encode(v);
}

fn unpack(unit: Unit) -> Values {
    return decode(unit);
}

fn total(v: Values) -> f32 {
    return v.x + v.y;
}

fn scalar(v: Values, k: u32) -> f32 {
    return v[k];
}

fn gather(s: array<f32, WIDTH>) -> Values {
    return vec2(s[0], s[1]);
}

fn first_scalar(v: Values) -> f32 {
    return v.x;
}
