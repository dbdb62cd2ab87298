// A parameter is the layer's own, and one of the sample's.
alias Parameter = vec2<u32>;

fn parameter(own: u32, row: u32) -> Parameter {
    return vec2(own, row / params.sample_rows * params.sample_stride + own);
}
