//! What the demo and the page in the browser hold against the oracle.

use gpunorm::reference::{self, State};
use gpunorm::{
    BatchNorm, Error, Gradients, GroupNorm, InstanceNorm, LayerNorm, NormSpec, RmsNorm, StateDict, SwitchableNorm,
    Tensor,
};
use ndarray::{ArrayD, IxDyn};

use super::worst::Worst;

/// Every norm, by name, and the shape of an input.
pub fn layers(batch: usize, size: usize) -> [(&'static str, NormSpec, Vec<usize>); 7] {
    let images = || vec![batch, 32, size, size];
    let tokens = || vec![batch, 2 * size, 512];
    let tracked = InstanceNorm::new(32).affine(true).track_running_stats(true);
    [
        ("BatchNorm", BatchNorm::new(32).into(), images()),
        ("LayerNorm", LayerNorm::new([512]).into(), tokens()),
        ("InstanceNorm", InstanceNorm::new(32).into(), images()),
        ("InstanceNorm, tracked", tracked.into(), images()),
        ("GroupNorm, 8 groups", GroupNorm::new(8, 32).into(), images()),
        ("SwitchableNorm", SwitchableNorm::new(32).into(), images()),
        ("RmsNorm", RmsNorm::new([512]).into(), tokens()),
    ]
}

/// An input with a mean.
pub fn input(shape: &[usize]) -> ArrayD<f32> {
    random(shape, 1).mapv(|u| 3.0 + 2.0 * u)
}

/// A gradient by an output.
pub fn output_gradient(shape: &[usize]) -> ArrayD<f32> {
    random(shape, 7)
}

/// Initial weights of 1 and biases of 0 would hide much.
pub fn with_random_parameters(mut state: StateDict) -> StateDict {
    for (seed, name) in ["weight", "bias", "mean_weight", "var_weight"].into_iter().enumerate() {
        if let Some(shape) = state.get(name).map(|array| array.shape().to_vec()) {
            let around = if name == "bias" { 0.0 } else { 1.0 };
            state.insert(name, random(&shape, 2 + seed as u64).mapv(|u| around + 0.5 * u));
        }
    }
    state
}

/// A layer's parameters and running statistics, for the oracle.
pub fn oracle_state(spec: &NormSpec, dict: &StateDict) -> Result<State, Error> {
    let array = |name: &str| dict.get(name).map(|array| array.mapv(f64::from));
    let mut state = State::new(spec)?;
    (state.weight, state.bias) = (array("weight"), array("bias"));
    (state.mean_weight, state.var_weight) = (array("mean_weight"), array("var_weight"));
    (state.running_mean, state.running_var) = (array("running_mean"), array("running_var"));
    state.num_batches_tracked = dict.get("num_batches_tracked").map(|count| count[[]] as u64);
    Ok(state)
}

/// A forward's output beside the oracle's.
pub async fn worst_output(found: &Tensor, expected: &reference::Forward) -> Result<Worst, Error> {
    Ok(Worst::of(&found.read().await?, &expected.output, &expected.tolerance(found.dtype())))
}

/// A backward's gradients beside the oracle's, all of them.
pub async fn worst_gradient(found: &Gradients, expected: &reference::Gradients) -> Result<Worst, Error> {
    let mut worst = Worst::default();
    for ((_, found), (_, expected)) in found.named().into_iter().zip(expected.named()) {
        if let (Some(found), Some(expected)) = (found, expected) {
            let tolerance = expected.tolerance(found.dtype());
            worst = worst.max(Worst::of(&found.read().await?, &expected.value, &tolerance));
        }
    }
    Ok(worst)
}

/// Uniform from -1 to 1, always the same for a seed: a 64-bit linear congruential generator (Knuth's MMIX).
fn random(shape: &[usize], seed: u64) -> ArrayD<f32> {
    let mut state = seed;
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}
