// y = ((x - shift) - mean) * (rstd * weight) + bias where channels change from element to element.
//
// An invocation owns a block of columns in one chunk of samples (common/columns.wgsl), and looks the statistics and
// parameters of a column up once. The plan picks it after forward_columns, and alone where the running statistics are
// used.
// In bounds: as forward_columns.

@compute @workgroup_size(WORKGROUP)
fn forward_apply_columns(builtins: Builtins) {
    let block = block_of(team_of(builtins));
    for (var column = block.column; column < block.column_end; column++) {
        var shifts: array<f32, WIDTH>;
        var scales: array<f32, WIDTH>;
        var biases: array<f32, WIDTH>;
        for (var k = 0u; k < WIDTH; k++) {
            let channel = (column * WIDTH + k) / params.inner;
            let s = statistics_for(channel);
            shifts[k] = s.shift;
            scales[k] = s.rstd * weight_at(channel);
            biases[k] = bias_at(channel) - s.mean * scales[k];
        }
        let shift = from_array(shifts);
        let scale = from_array(scales);
        let offset = from_array(biases);
        for (var sample = block.sample; sample < block.sample_end; sample++) {
            let at = sample * params.units + column;
            let unit = load_x(at);
            keep(at, unit);
            store(at, finish(mul(from_shift(unpack(unit), shift), scale) + offset, at));
        }
    }
}
