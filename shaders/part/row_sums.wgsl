// The sums of weight * dy, and of that times xhat, over a row that a team holds.
fn sums_of_row(row: HeldRow, s: Statistics, dy: ptr<function, array<Unit, UNITS>>, x: ptr<function, array<Unit, UNITS>>)
        -> vec2<f32> {
    var sum_dy = splat(0.0);
    var sum_x = splat(0.0);
    for (var k = 0u; k < UNITS; k++) {
        let i = unit_at(row.lane, k);
        if FULL || i < row.end {
            let h = mul(unpack((*dy)[k]), weights_of(1.0, row.base, i * WIDTH));
            sum_dy += h;
            sum_x += mul(h, (unpack((*x)[k]) - splat(s.shift)) - splat(s.mean));
        }
    }
    let all = closed(reduce(Sums(total(sum_dy), total(sum_x) * s.scale, 0.0, 0.0), row.lane));
    meet_again();
    return all;
}
