// A row that a team holds in registers.
struct HeldRow {
    number: u32,
    base: u32, // its first parameter
    end: u32,  // its units
    lane: u32, // of the team, the one that asks
    live: bool,
}

// What a lane sums up of the units that it holds.
struct LaneSums {
    dy: Values,
    x: Values, // without the scale of xhat
}

fn add_unit(a: LaneSums, h: Values, x: Unit, s: Statistics) -> LaneSums {
    return LaneSums(a.dy + h, a.x + mul(h, (unpack(x) - splat(s.shift)) - splat(s.mean)));
}

fn total_of(a: LaneSums, s: Statistics) -> Sums {
    return Sums(total(a.dy), total(a.x) * s.scale, 0.0, 0.0);
}
