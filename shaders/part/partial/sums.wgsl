// What the lanes of a team reduce: sums.
alias Partial = Sums;

fn merge_partials(a: Partial, b: Partial) -> Partial {
    return merge_sums(a, b);
}

fn to_vec4(s: Partial) -> vec4<f32> {
    return vec4(s.dy, s.dy_xhat, s.dy_error, s.dy_xhat_error);
}

fn from_vec4(v: vec4<f32>) -> Partial {
    return Sums(v.x, v.y, v.z, v.w);
}
