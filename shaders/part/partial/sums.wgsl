// What the lanes of a team bring together: sums.
alias Shared = Sums;

fn join(a: Shared, b: Shared) -> Shared {
    return join_sums(a, b);
}

fn packed(s: Shared) -> vec4<f32> {
    return vec4(s.dy, s.x, s.dy_rest, s.x_rest);
}

fn unpacked(v: vec4<f32>) -> Shared {
    return Sums(v.x, v.y, v.z, v.w);
}
