// dx of rows whose elements have weights of their own, and the sums of dy and of dy * xhat over each column, which are the
// gradients of bias and weight:
//   dx = scale * weight * dy + (of_x * ((x - shift) - mean) + constant)
//
// An invocation owns a block of columns in one chunk of rows (columns.wgsl). The plan picks it when the coefficients of
// the rows are known, before a combine that joins the chunks; for the sums alone where rows share words.
// In bounds: as forward_columns, with `sums` for `moments`.

@compute @workgroup_size(WORKGROUP)
fn backward_rows(builtins: Builtins) {
    let block = block_of(team_of(builtins));
    for (var column = block.column; column < block.columns; column++) {
        let weights = weight_unit(column * WIDTH);
        var own = ColumnSums();
        for (var sample = block.sample; sample < block.samples; sample += UNITS) {
            var sum_dy = splat(0.0);
            var sum_x = splat(0.0);
            for (var k = 0u; k < UNITS; k++) {
                if FULL || sample + k < block.samples {
                    let row = sample + k;
                    let at = row * params.units + column;
                    let c = coefficients_for(params.first + row);
                    let gradient = unpack(load_dy(at));
                    let deviation = (unpack(load(at)) - splat(c.shift)) - splat(c.mean);
                    sum_dy += gradient;
                    sum_x += mul(gradient, mul(deviation, splat(c.scale)));
                    put(at, mul(gradient, mul(splat(c.scale), weights)) + (mul(deviation, splat(c.of_x)) + splat(c.constant)));
                }
            }
            own = add_columns(own, sum_dy, sum_x);
        }
        save_columns((params.partial_first + block.chunk) * params.units + column, own);
    }
}
