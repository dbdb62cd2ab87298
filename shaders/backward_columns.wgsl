// The sums of dy and of dy * xhat over columns (forward_columns.wgsl says which); dy times the weight where parameters change
// from line to line. Where the statistics are constants, dx = rstd * weight * dy on the way.
//
// An invocation owns a block of columns in one chunk of lines (common/columns.wgsl). The plan picks it, before a combine.
// In bounds: as forward_columns, with `sums` for `moments`.
override BY_LINE: bool = false; // a line's elements share their weight, which is missing from dy

@compute @workgroup_size(WORKGROUP)
fn backward_columns(builtins: Builtins) {
    let block = block_of(team_of(builtins));
    for (var column = block.column; column < block.column_end; column++) {
        var shifts: array<f32, WIDTH>;
        var means: array<f32, WIDTH>;
        var rstds: array<f32, WIDTH>;
        var factors: array<f32, WIDTH>;
        for (var k = 0u; k < WIDTH; k++) {
            let row = row_of_column(block, column * WIDTH + k);
            let s = statistics_for(row);
            shifts[k] = s.shift;
            means[k] = s.mean;
            rstds[k] = s.rstd;
            factors[k] = s.rstd;
            if !BY_LINE {
                factors[k] *= weight_at(parameter((column * WIDTH + k) / params.inner, row));
            }
        }
        let shift = from_array(shifts);
        var own = ColumnSums();
        for (var line = block.line; line < block.line_end; line += UNITS) {
            var sum_x = splat(0.0);
            for (var k = 0u; k < UNITS; k++) {
                if FULL || line + k < block.line_end {
                    let at = (line + k) * params.units + column;
                    var gradient = unpack(load_dy(at));
                    store(at, mul(gradient, from_array(factors)));
                    if BY_LINE {
                        gradient *= weight_at(parameter(line + k - block.sample_line, params.first + block.plane));
                    }
                    own = add_dy(own, gradient); // one by one: dy is exact, unlike a product
                    sum_x += mul(gradient, from_shift(unpack(load_x(at)), shift));
                }
            }
            own = add_dy_x(own, sum_x);
        }
        let all = own.dy + own.dy_error;
        let all_xhat =
            mul_or_zero_each(from_array(rstds), (own.dy_x + own.dy_x_error) - mul(from_array(means), all));
        for (var k = 0u; k < WIDTH; k++) {
            sums[partial_at(block, column * WIDTH + k)] = vec2(extract(all, k), extract(all_xhat, k));
        }
    }
}
