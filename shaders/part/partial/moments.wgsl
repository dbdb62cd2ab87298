// What the lanes of a team bring together: moments.
alias Shared = Moments;

fn join(a: Shared, b: Shared) -> Shared {
    return merge(a, b);
}

fn packed(m: Shared) -> vec4<f32> {
    return vec4(m.count, m.shift, m.mean, m.m2);
}

fn unpacked(v: vec4<f32>) -> Shared {
    return Moments(v.x, v.y, v.z, v.w);
}
