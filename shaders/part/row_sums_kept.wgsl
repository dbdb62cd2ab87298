// The same of a row that is one channel's, without its weight; they are kept for a combine.
fn sums_of_row(row: HeldRow, s: Statistics, dy: ptr<function, array<Unit, UNITS>>, x: ptr<function, array<Unit, UNITS>>)
        -> vec2<f32> {
    var sum_dy = splat(0.0);
    var sum_x = splat(0.0);
    for (var k = 0u; k < UNITS; k++) {
        if FULL || unit_at(row.lane, k) < row.end {
            let gradient = unpack((*dy)[k]);
            sum_dy += gradient;
            sum_x += mul(gradient, (unpack((*x)[k]) - splat(s.shift)) - splat(s.mean));
        }
    }
    let sum = closed(reduce(Sums(total(sum_dy), total(sum_x) * s.scale, 0.0, 0.0), row.lane));
    meet_again();
    if row.live && row.lane == 0u {
        sums[params.partial_first + row.number] = sum;
    }
    return sum * weight_at(row.base);
}
