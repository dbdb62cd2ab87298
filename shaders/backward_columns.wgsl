// The sums of dy and of dy * xhat over batch norm's columns (forward_columns.wgsl says which). Where the statistics are
// constants, dx = rstd * weight * dy on the way.
//
// An invocation owns a block of columns in one chunk of samples (common/columns.wgsl). The plan picks it, before a
// combine.
// In bounds: as forward_columns, with `sums` for `moments`.

@compute @workgroup_size(WORKGROUP)
fn backward_columns(builtins: Builtins) {
    let block = block_of(team_of(builtins));
    for (var column = block.column; column < block.column_end; column++) {
        var shifts: array<f32, WIDTH>;
        var means: array<f32, WIDTH>;
        var rstds: array<f32, WIDTH>;
        var factors: array<f32, WIDTH>;
        for (var k = 0u; k < WIDTH; k++) {
            let channel = (column * WIDTH + k) / params.inner;
            let s = statistics_for(channel);
            shifts[k] = s.shift;
            means[k] = s.mean;
            rstds[k] = s.rstd;
            factors[k] = s.rstd * weight_at(channel);
        }
        let shift = from_array(shifts);
        var own = ColumnSums();
        for (var sample = block.sample; sample < block.sample_end; sample += UNITS) {
            var sum_x = splat(0.0);
            for (var k = 0u; k < UNITS; k++) {
                if FULL || sample + k < block.sample_end {
                    let at = (sample + k) * params.units + column;
                    let gradient = unpack(load_dy(at));
                    store(at, mul(gradient, from_array(factors)));
                    own = add_dy(own, gradient); // which is exact, unlike a product: one by one
                    sum_x += mul(gradient, from_shift(unpack(load_x(at)), shift));
                }
            }
            own = add_dy_x(own, sum_x);
        }
        let all = own.dy + own.dy_error;
        store_column_sums(
            place_of(block.chunk),
            column,
            all,
            mul_or_zero_each(from_array(rstds), (own.dy_x + own.dy_x_error) - mul(from_array(means), all)),
        );
    }
}
