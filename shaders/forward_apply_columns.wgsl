// y = ((x - shift) - mean) * (scale * weight) + bias where channels change from element to element.
//
// An invocation owns a unit of neighbouring columns in one chunk of samples, and so looks its statistics and parameters
// up once. The plan picks it after forward_columns, and alone where the running statistics are used.
// In bounds: as forward_columns.

@compute @workgroup_size(WORKGROUP)
fn forward_apply_columns(builtins: Builtins) {
    let team = team_of(builtins);
    let live = team < params.rows * params.segments;
    let column = select(0u, team % params.rows, live);
    let begin = select(0u, team / params.rows, live) * params.segment_units;
    let end = select(0u, min(begin + params.segment_units, params.samples), live);

    var shifts: array<f32, WIDTH>;
    var means: array<f32, WIDTH>;
    var scales: array<f32, WIDTH>;
    var biases: array<f32, WIDTH>;
    for (var k = 0u; k < WIDTH; k++) {
        let channel = (column * WIDTH + k) / params.inner;
        let s = statistics_for(channel);
        shifts[k] = s.shift;
        means[k] = s.mean;
        scales[k] = s.scale * weight_at(channel);
        biases[k] = bias_at(channel);
    }
    let shift = gather(shifts);
    let mean = gather(means);
    let scale = gather(scales);
    let offset = gather(biases);
    for (var sample = begin; sample < end; sample++) {
        let at = sample * params.rows + column;
        store(at, mul((unpack(load(at)) - shift) - mean, scale) + offset);
    }
}
