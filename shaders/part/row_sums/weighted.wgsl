// The sums of weight * dy, and of that times xhat, over a row that a team holds. Lanes hold its units in turn.
fn unit_at(lane: u32, k: u32) -> u32 {
    return lane + k * lanes();
}

fn sums_of_row(row: HeldRow, s: Statistics, dy: ptr<function, array<Unit, UNITS>>, x: ptr<function, array<Unit, UNITS>>)
        -> vec2<f32> {
    var own = LaneSums();
    for (var k = 0u; k < UNITS; k++) {
        let i = unit_at(row.lane, k);
        if FULL || i < row.end {
            own = add_unit(own, mul(unpack((*dy)[k]), weights_of(1.0, row.base, i * WIDTH)), unpack((*x)[k]), s);
        }
    }
    let all = compensated(reduce(total_of(own, s), row.lane));
    team_barrier();
    return all;
}
