// The two sums of a backward pass, over elements that share a statistic: of dy, and of dy times the normalized x. Each
// has a rest, what rounding took from it, so that a long sum is as good as a short one.
struct Sums {
    dy: f32,
    x: f32,
    dy_rest: f32,
    x_rest: f32,
}

fn add(a: Sums, dy: f32, x: f32) -> Sums {
    let by_dy = two_sum(a.dy, dy);
    let by_x = two_sum(a.x, x);
    return Sums(by_dy.x, by_x.x, a.dy_rest + by_dy.y, a.x_rest + by_x.y);
}

fn join_sums(a: Sums, b: Sums) -> Sums {
    let s = add(a, b.dy, b.x);
    return Sums(s.dy, s.x, s.dy_rest + b.dy_rest, s.x_rest + b.x_rest);
}

// The sums without their rests.
fn closed(a: Sums) -> vec2<f32> {
    return vec2(a.dy + a.dy_rest, a.x + a.x_rest);
}
