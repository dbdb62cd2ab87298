// dx = rstd * (weight * dy + (of_xhat * xhat + constant)) where channels change from element to element,
// xhat = (x - mean) * rstd.
//
// An invocation owns a block of columns in one chunk of samples (common/columns.wgsl), and looks the coefficients of a
// column up once. The plan picks it after backward_columns, and alone where the running statistics are used.
// In bounds: as forward_columns.

@compute @workgroup_size(WORKGROUP)
fn backward_apply_columns(builtins: Builtins) {
    let block = block_of(team_of(builtins));
    for (var column = block.column; column < block.column_end; column++) {
        var shifts: array<f32, WIDTH>;
        var scales: array<f32, WIDTH>;
        var factors: array<f32, WIDTH>;
        var constants: array<f32, WIDTH>;
        for (var k = 0u; k < WIDTH; k++) {
            let channel = (column * WIDTH + k) / params.inner;
            let c = coefficients_for(channel);
            shifts[k] = c.shift;
            scales[k] = c.rstd * weight_at(channel);
            factors[k] = c.rstd * c.rstd * c.of_xhat;
            constants[k] = c.rstd * c.constant - c.mean * factors[k];
        }
        let shift = from_array(shifts);
        let scale = from_array(scales);
        let factor = from_array(factors);
        let offset = from_array(constants);
        for (var sample = block.sample; sample < block.sample_end; sample++) {
            let at = sample * params.units + column;
            let own = mul(unpack(load_dy(at)), scale);
            if THROUGH_STATISTICS {
                store(at, own + (mul(from_shift(unpack(load_x(at)), shift), factor) + offset));
            } else {
                store(at, own);
            }
        }
    }
}
