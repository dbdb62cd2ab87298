// dx = scale * (weight * dy + (of_x * xhat + constant)) where channels change from element to element,
// xhat = (x - mean) * scale.
//
// An invocation owns a block of columns in one chunk of samples (columns.wgsl), and looks the coefficients of a column up
// once. The plan picks it after backward_columns, and alone where the running statistics are used.
// In bounds: as forward_columns.

@compute @workgroup_size(WORKGROUP)
fn backward_apply_columns(builtins: Builtins) {
    let block = block_of(team_of(builtins));
    for (var column = block.column; column < block.columns; column++) {
        var shifts: array<f32, WIDTH>;
        var scales: array<f32, WIDTH>;
        var factors: array<f32, WIDTH>;
        var constants: array<f32, WIDTH>;
        for (var k = 0u; k < WIDTH; k++) {
            let channel = (column * WIDTH + k) / params.inner;
            let c = coefficients_for(channel);
            shifts[k] = c.shift;
            scales[k] = c.scale * weight_at(channel);
            factors[k] = c.scale * c.scale * c.of_x;
            constants[k] = c.scale * c.constant - c.mean * factors[k];
        }
        let shift = gather(shifts);
        let scale = gather(scales);
        let factor = gather(factors);
        let offset = gather(constants);
        for (var sample = block.sample; sample < block.samples; sample++) {
            let at = sample * params.units + column;
            let own = mul(unpack(load_dy(at)), scale);
            if THROUGH {
                put(at, own + (mul(from_shift(unpack(load(at)), shift), factor) + offset));
            } else {
                put(at, own);
            }
        }
    }
}
