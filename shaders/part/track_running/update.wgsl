// Training: a channel's moments move its running statistics. Each channel counts batches for itself, so that whoever
// owns the channel can count without waiting for anyone; all counts are equal.
@group(0) @binding(9) var<storage, read_write> num_batches_tracked: array<u32>;
override CUMULATIVE: bool = false;

fn track_running(channel: u32, m: Moments) {
    // It stays at the most that it can count to.
    let before = num_batches_tracked[channel];
    let batches = before + select(1u, 0u, before == 0xffffffffu);
    num_batches_tracked[channel] = batches;
    let factor = select(params.momentum, 1.0 / f32(batches), CUMULATIVE);
    if m.count > 0.0 {
        update_running(channel, m.shift + m.mean, variance(m) * params.unbias, factor);
    }
}
