// The one uniform: every size, stride and number that a kernel needs. Its twin is `Params` in src/kernel/params.rs.
struct Params {
    rows: u32,              // rows of this dispatch
    first: u32,             // number of its first row in the whole tensor
    row_len: u32,           // elements per row
    units: u32,             // units per row; of a combine, partial moments per row
    row_stride: u32,        // common/walk.wgsl; of columns, run is the units of a block
    run: u32,
    run_stride: u32,
    tiles: u32,             // tiles per segment
    segments: u32,          // pieces that a row is cut into
    segment_units: u32,     // units per piece
    partial_first: u32,     // where this step's partial moments or sums begin; those of (row, segment) lie at
    partial_row: u32,       //   partial_first + row * partial_row + segment * partial_segment
    partial_segment: u32,
    parts: u32,             // partial moments per instance row
    period: u32,            // common/parameter.wgsl
    step: u32,
    inner: u32,
    statistics_period: u32, // row r uses statistics (r / statistics_run) mod this
    samples: u32,
    channels: u32,
    eps: f32,
    momentum: f32,
    unbias: f32,            // biased variance * this = the one that running_var follows
    instance_scale: f32,    // factors on switchable norm's biased variances
    layer_scale: f32,
    batch_scale: f32,
    statistics_run: u32,
    channel_stride: u32,    // entries of a channel: runs of channel_run neighbours, channel_run_stride apart
    channel_run: u32,
    channel_run_stride: u32,
    channel_units: u32,
    channel_first: u32,     // the first entry of the first channel
    sum_parts: u32,         // sums per plane
    zero: u32,              // always 0 (common/opaque.wgsl)
    start: u32,             // the first element of a slice in its binding
    elements: u32,          // and how many it has, where words lie in two rows
    slope: f32,             // of a leaky relu
    sample_rows: u32,       // rows of a sample, and values that modulate it
    sample_stride: u32,
    first_element: u32,     // number of this binding's first element in the whole tensor, and elements of a plane
    plane_len: u32,
    plane_multiplier: u32,  // division by plane_len (input/sum.wgsl)
    plane_bits: u32,
    weight_stride: u32,     // from the weight of one plane of a set to the next one's
    pitch_period: u32,      // common/pitch.wgsl: row r begins start + (r / this) * group + (r % this) * row units into a binding
    input_start: u32,
    input_row: u32,
    input_group: u32,
    output_start: u32,
    output_row: u32,
    output_group: u32,
    gradient_start: u32,
    gradient_row: u32,
    gradient_group: u32,
    lines: u32,             // lines of a sample (common/columns.wgsl)
    interleaved: u32,       // common/places.wgsl
}
@group(0) @binding(2) var<uniform> params: Params;
