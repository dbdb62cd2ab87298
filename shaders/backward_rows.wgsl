// dx of rows whose elements have weights of their own, and the sums of dy and of dy * xhat over each column, which are
// the gradients of bias and weight:
//   dx = rstd * (weight * dy + (of_xhat * xhat + constant))
//
// An invocation owns a block of columns in one chunk of rows (common/columns.wgsl). The plan picks it, before a combine
// that joins the chunks, where a block is so small that it can find the coefficients of its rows by itself
// (block_coefficients/computed.wgsl); else when they are known; and for the sums alone where rows share words.
// In bounds: as forward_columns, with `sums` for `moments`.

@compute @workgroup_size(WORKGROUP)
fn backward_rows(builtins: Builtins) {
    let block = block_of(team_of(builtins));
    let place = place_of(block.chunk);
    let parameters = parameter(0u, params.first + block.sample);
    for (var first = block.sample; first < block.sample_end; first += UNITS) {
        var of_rows: array<Coefficients, UNITS>;
        find_coefficients(&of_rows, block, first);
        for (var column = block.column; column < block.column_end; column++) {
            let weights = weight_unit(parameters + Parameter(column * WIDTH));
            var sum_dy = splat(0.0);
            var sum_x = splat(0.0);
            for (var k = 0u; k < UNITS; k++) {
                if FULL || first + k < block.sample_end {
                    let at = (first + k) * params.units + column;
                    let c = of_rows[k];
                    let gradient = unpack(load_dy(at));
                    let normalized = mul(deviation(unpack(load_x(at)), splat(c.shift), splat(c.mean)), splat(c.rstd));
                    sum_dy += gradient;
                    sum_x += mul(gradient, normalized);
                    let through = mul(normalized, splat(c.of_xhat)) + splat(c.constant);
                    store(at, mul(mul(gradient, weights) + through, splat(c.rstd)));
                }
            }
            store_column_sums(place, column, sum_dy, sum_x);
        }
    }
}
