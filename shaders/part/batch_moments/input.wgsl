// A channel's batch statistics are those of the input.
fn batch_moments(channel: u32, input: Moments) -> Moments {
    return input;
}
