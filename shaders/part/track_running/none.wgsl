// No running statistics, or none that move.
fn track_running(channel: u32, m: Moments) {}
