// dx = rstd * (weight * dy + (of_xhat * xhat + constant)) where coefficients change from element to element, and so do weights
// or, of layer and RMS norm over channels that come first, from line to line. xhat = (x - mean) * rstd.
//
// An invocation owns a block of columns in one chunk of lines (common/columns.wgsl), and looks up once what a column has. The
// plan picks it after backward_columns, and alone where the running statistics are used.
// In bounds: as forward_columns.
override BY_LINE: bool = false; // a line's elements share their weight

@compute @workgroup_size(WORKGROUP)
fn backward_apply_columns(builtins: Builtins) {
    let block = block_of(team_of(builtins));
    for (var column = block.column; column < block.column_end; column++) {
        var shifts: array<f32, WIDTH>;
        var scales: array<f32, WIDTH>;
        var factors: array<f32, WIDTH>;
        var constants: array<f32, WIDTH>;
        for (var k = 0u; k < WIDTH; k++) {
            let row = row_of_column(block, column * WIDTH + k);
            let c = coefficients_for(row);
            shifts[k] = c.shift;
            scales[k] = c.rstd;
            if !BY_LINE {
                scales[k] *= weight_at(parameter((column * WIDTH + k) / params.inner, row));
            }
            factors[k] = c.rstd * c.rstd * c.of_xhat;
            constants[k] = c.rstd * c.constant - c.mean * factors[k];
        }
        let shift = from_array(shifts);
        let scale = from_array(scales);
        let factor = from_array(factors);
        let offset = from_array(constants);
        for (var line = block.line; line < block.line_end; line++) {
            let at = line * params.units + column;
            var own = mul(unpack(load_dy(at)), scale);
            if BY_LINE {
                own *= weight_at(parameter(line - block.sample_line, params.first + block.plane));
            }
            if THROUGH_STATISTICS {
                store(at, own + (mul(from_shift(unpack(load_x(at)), shift), factor) + offset));
            } else {
                store(at, own);
            }
        }
    }
}
