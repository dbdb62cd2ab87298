// The running statistics, written: new = (1 - factor) * old + factor * batch, literally, as torch does.
@group(0) @binding(7) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(8) var<storage, read_write> running_var: array<f32>;

fn update_running(channel: u32, mean: f32, variance: f32, factor: f32) {
    running_mean[channel] = (1.0 - factor) * running_mean[channel] + factor * mean;
    running_var[channel] = (1.0 - factor) * running_var[channel] + factor * variance;
}
