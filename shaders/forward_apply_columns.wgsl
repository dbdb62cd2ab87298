// y = ((x - shift) - mean) * (scale * weight) + bias where channels change from element to element.
//
// An invocation owns a block of columns in one chunk of samples (columns.wgsl), and looks the statistics and parameters
// of a column up once. The plan picks it after forward_columns, and alone where the running statistics are used.
// In bounds: as forward_columns.

@compute @workgroup_size(WORKGROUP)
fn forward_apply_columns(builtins: Builtins) {
    let block = block_of(team_of(builtins));
    for (var column = block.column; column < block.columns; column++) {
        var shifts: array<f32, WIDTH>;
        var scales: array<f32, WIDTH>;
        var biases: array<f32, WIDTH>;
        for (var k = 0u; k < WIDTH; k++) {
            let channel = (column * WIDTH + k) / params.inner;
            let s = statistics_for(channel);
            shifts[k] = s.shift;
            scales[k] = s.scale * weight_at(channel);
            biases[k] = bias_at(channel) - s.mean * scales[k];
        }
        let shift = gather(shifts);
        let scale = gather(scales);
        let offset = gather(biases);
        for (var sample = block.sample; sample < block.samples; sample++) {
            let at = sample * params.units + column;
            put(at, mul(from_shift(unpack(load(at)), shift), scale) + offset);
        }
    }
}
