// f32, four per 16-byte unit.
alias Unit = vec4<f32>;
alias Values = vec4<f32>;
const WIDTH = 4u;
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

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
    return (v.x + v.y) + (v.z + v.w);
}

fn scalar(v: Values, k: u32) -> f32 {
    return v[k];
}

fn gather(s: array<f32, WIDTH>) -> Values {
    return vec4(s[0], s[1], s[2], s[3]);
}

fn first_scalar(v: Values) -> f32 {
    return v.x;
}
