// Evaluation: the running statistics stand in for the batch's.
@group(0) @binding(7) var<storage, read> running_mean: array<f32>;
@group(0) @binding(8) var<storage, read> running_var: array<f32>;

fn batch_moments(channel: u32, input: Moments) -> Moments {
    return Moments(1.0, running_mean[channel], 0.0, running_var[channel]);
}
