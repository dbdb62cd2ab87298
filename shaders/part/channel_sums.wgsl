// The same from the sums of each channel of the row, without its weight; they are kept for a combine.
fn sums_of_row(row: HeldRow, s: Statistics, dy: ptr<function, array<Unit, UNITS>>, x: ptr<function, array<Unit, UNITS>>)
        -> vec2<f32> {
    let channel_units = params.inner / WIDTH;
    var all = vec2(0.0);
    for (var c = 0u; c < params.step; c++) {
        var sum_dy = splat(0.0);
        var sum_x = splat(0.0);
        for (var k = 0u; k < UNITS; k++) {
            let i = row.lane + k * lanes();
            // Below the first, the difference wraps.
            if (FULL || i < row.end) && i - c * channel_units < channel_units {
                let gradient = unpack((*dy)[k]);
                sum_dy += gradient;
                sum_x += mul(gradient, (unpack((*x)[k]) - splat(s.shift)) - splat(s.mean));
            }
        }
        let sum = closed(reduce(Sums(total(sum_dy), total(sum_x) * s.scale, 0.0, 0.0), row.lane));
        meet_again();
        if row.live && row.lane == 0u {
            sums[params.partial_first + row.number * params.step + c] = sum;
        }
        all += sum * weight_at(row.base + c);
    }
    return all;
}
