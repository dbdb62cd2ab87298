// A parameter is the layer's own, for all samples; or one of the sample's, where what modulates it is multiplied out already
// (forward_fold.wgsl).
alias Parameter = u32;
override BY_SAMPLE: bool = false;

fn parameter(own: u32, row: u32) -> Parameter {
    if BY_SAMPLE {
        return row / params.sample_rows * params.sample_stride + own;
    }
    return own;
}
