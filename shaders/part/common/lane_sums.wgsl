// What a lane sums up of the units that it reads: of dy, and of dy times what x is from the shift. The mean, which is
// next to nothing, is taken off at last.
struct LaneSums {
    dy: Values,
    dy_x: Values,
}

fn add_unit(a: LaneSums, gradient: Values, x: Values, s: Statistics) -> LaneSums {
    return LaneSums(a.dy + gradient, a.dy_x + mul(gradient, from_shift(x, splat(s.shift))));
}

fn total_of(a: LaneSums, s: Statistics) -> Sums {
    let dy = total(a.dy);
    return Sums(dy, mul_or_zero(s.rstd, total(a.dy_x) - s.mean * dy), 0.0, 0.0);
}
