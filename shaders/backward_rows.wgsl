// dx of rows whose elements have weights of their own, and the sums of dy and of dy * xhat over each column, which are the
// gradients of bias and weight:
//   dx = scale * (weight * dy + (of_x * xhat + constant))
//
// An invocation owns a block of columns in one chunk of rows (columns.wgsl). The plan picks it, before a combine that
// joins the chunks, where a block is so small that it can find the coefficients of its rows by itself (rows_own.wgsl);
// else when they are known; and for the sums alone where rows share words.
// In bounds: as forward_columns, with `sums` for `moments`.

@compute @workgroup_size(WORKGROUP)
fn backward_rows(builtins: Builtins) {
    let block = block_of(team_of(builtins));
    for (var first = block.sample; first < block.samples; first += UNITS) {
        var known: array<Coefficients, UNITS>;
        know(&known, block, first);
        for (var column = block.column; column < block.columns; column++) {
            let weights = weight_unit(column * WIDTH);
            var sum_dy = splat(0.0);
            var sum_x = splat(0.0);
            for (var k = 0u; k < UNITS; k++) {
                if FULL || first + k < block.samples {
                    let at = (first + k) * params.units + column;
                    let c = known[k];
                    let gradient = unpack(load_dy(at));
                    let normalized = mul(deviation(unpack(load(at)), splat(c.shift), splat(c.mean)), splat(c.scale));
                    sum_dy += gradient;
                    sum_x += mul(gradient, normalized);
                    let through = mul(normalized, splat(c.of_x)) + splat(c.constant);
                    put(at, mul(mul(gradient, weights) + through, splat(c.scale)));
                }
            }
            let place = params.partial_first + (block.chunk * params.units + column) * WIDTH;
            save_columns(place, sum_dy, sum_x);
        }
    }
}
