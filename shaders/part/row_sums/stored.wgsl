// The sums of dy, and of dy times xhat, over a row that is one channel's, without its weight; they are kept for a
// combine. Lanes hold the units of a row in turn.
fn unit_at(lane: u32, k: u32) -> u32 {
    return lane + k * lanes();
}

fn sums_of_row(row: HeldRow, s: Statistics, dy: ptr<function, array<Unit, UNITS>>, x: ptr<function, array<Unit, UNITS>>)
        -> vec2<f32> {
    var own = LaneSums();
    for (var k = 0u; k < UNITS; k++) {
        if FULL || unit_at(row.lane, k) < row.end {
            own = add_unit(own, unpack((*dy)[k]), unpack((*x)[k]), s);
        }
    }
    let sum = compensated(reduce(total_of(own, s), row.lane));
    team_barrier();
    if row.live && row.lane == 0u {
        sums[params.partial_first + row.number] = sum;
    }
    return sum * weight_at(row.base);
}
