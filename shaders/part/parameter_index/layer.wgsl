// A parameter is the layer's own, for all samples.
alias Parameter = u32;

fn parameter(own: u32, row: u32) -> Parameter {
    return own;
}
