// What the lanes of a team reduce: moments.
alias Partial = Moments;

fn merge_partials(a: Partial, b: Partial) -> Partial {
    return merge(a, b);
}

fn to_vec4(m: Partial) -> vec4<f32> {
    return vec4(m.count, m.shift, m.mean, m.m2);
}

fn from_vec4(v: vec4<f32>) -> Partial {
    return Moments(v.x, v.y, v.z, v.w);
}
