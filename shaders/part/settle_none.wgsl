// No running statistics.
fn settle(channel: u32, m: Moments) -> Moments {
    return m;
}
