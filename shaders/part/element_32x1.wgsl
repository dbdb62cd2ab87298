// f32, one per unit: for rows whose length is not a multiple of four.
alias Unit = f32;
alias Values = f32;
const WIDTH = 1u;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

fn load(i: u32) -> Unit {
    return x[i];
}

fn store(i: u32, v: Values) {
    y[i] = v;
}

fn unpack(unit: Unit) -> Values {
    return unit;
}

fn total(v: Values) -> f32 {
    return v;
}

fn scalar(v: Values, k: u32) -> f32 {
    return v;
}

fn gather(s: array<f32, WIDTH>) -> Values {
    return s[0];
}

fn first_scalar(v: Values) -> f32 {
    return v;
}
