// y = ((x - shift) - mean) * (rstd * weight) + bias where statistics change from element to element, and so do parameters or, of
// layer and RMS norm over channels that come first, from line to line.
//
// An invocation owns a block of columns in one chunk of lines (common/columns.wgsl), and looks up once what a column has. The
// plan picks it after forward_columns, and alone where the running statistics are used.
// In bounds: as forward_columns.
override BY_LINE: bool = false; // a line's elements share their parameters

@compute @workgroup_size(WORKGROUP)
fn forward_apply_columns(builtins: Builtins) {
    let block = block_of(team_of(builtins));
    for (var column = block.column; column < block.column_end; column++) {
        let sample_row = row_of_column(block, column * WIDTH);
        var shifts: array<f32, WIDTH>;
        var scales: array<f32, WIDTH>;
        var offsets: array<f32, WIDTH>;
        for (var k = 0u; k < WIDTH; k++) {
            let row = row_of_column(block, column * WIDTH + k);
            let s = statistics_for(row);
            shifts[k] = s.shift;
            scales[k] = s.rstd;
            offsets[k] = 0.0;
            if !BY_LINE {
                let own = parameter((column * WIDTH + k) / params.inner, row);
                scales[k] *= weight_at(own);
                offsets[k] = bias_at(own);
            }
            offsets[k] -= s.mean * scales[k];
        }
        let shift = from_array(shifts);
        let scale = from_array(scales);
        let offset = from_array(offsets);
        let addend = addend_of_column(block.line * params.units + column);
        for (var line = block.line; line < block.line_end; line++) {
            let at = line * params.units + column;
            let unit = load_x_of_column(at, addend);
            keep(at, unit);
            var v = mul(from_shift(unpack(unit), shift), scale) + offset;
            if BY_LINE {
                let own = parameter(line - block.sample_line, sample_row);
                v = v * weight_at(own) + splat(bias_at(own));
            }
            store(at, finish(v, at));
        }
    }
}
