// The two sums of a backward pass, over elements that share a statistic: of dy, and of dy times the normalized x. Each
// has its error, what rounding took from it, so that a long sum is as good as a short one.
struct Sums {
    dy: f32,
    dy_xhat: f32,
    dy_error: f32,
    dy_xhat_error: f32,
}

fn add(a: Sums, dy: f32, dy_xhat: f32) -> Sums {
    let by_dy = two_sum(a.dy, dy);
    let by_xhat = two_sum(a.dy_xhat, dy_xhat);
    return Sums(by_dy.x, by_xhat.x, a.dy_error + by_dy.y, a.dy_xhat_error + by_xhat.y);
}

fn merge_sums(a: Sums, b: Sums) -> Sums {
    let s = add(a, b.dy, b.dy_xhat);
    return Sums(s.dy, s.dy_xhat, s.dy_error + b.dy_error, s.dy_xhat_error + b.dy_xhat_error);
}

// The sums with what rounding took from them.
fn compensated(a: Sums) -> vec2<f32> {
    return vec2(a.dy + a.dy_error, a.dy_xhat + a.dy_xhat_error);
}
