//! Worked examples, their results computed by numpy:
//!
//! ```python
//! import numpy as np
//! x = np.array([[[[1,0],[0,2]],[[3,4],[1,2]],[[-2,9],[7,5]],[[2,3],[4,2]]],
//!               [[[1,2],[-1,0]],[[1,2],[3,5]],[[4,7],[-6,4]],[[1,4],[1,5]]]], float)
//!
//! def norm(x, axes):
//!     return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
//!
//! batch = norm(x, (0, 2, 3))
//! group = norm(x.reshape(2, 2, 2, 2, 2), (2, 3, 4)).reshape(x.shape)
//! tokens = x[:, [0, 1, 3]].reshape(2, 3, 4).transpose(0, 2, 1)     # 2 x 4 pixels x 3 channels
//! layer = norm(tokens, (2,))
//! w_mean, w_var = (0.5, 0.3, 0.4), (0.2, 0.7, 0.3)                 # IN, LN, BN
//! axes = (2, 3), (1, 2, 3), (0, 2, 3)
//! mean = sum(w * x.mean(a, keepdims=True) for w, a in zip(w_mean, axes))
//! var = sum(w * x.var(a, keepdims=True) for w, a in zip(w_var, axes))
//! switchable = (x - mean) / np.sqrt(var + 1e-5)
//!
//! a, b = np.arange(60.0).reshape(5, 3, 4) ** 1.5 / 10, np.cos(np.arange(60.0)).reshape(5, 3, 4)
//! first = 0.75 * np.zeros(3) + 0.25 * a.mean((0, 2))
//! second = 0.75 * first + 0.25 * b.mean((0, 2))
//! ```
//!
//! Every check takes whatever runs a layer, so the oracle and a GPU are held to the same numbers.

use gpunorm::reference::{self, State};
use gpunorm::{BatchNorm, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm, SwitchableNorm, Weighting};
use ndarray::{ArrayD, Axis, arr1};

/// One forward pass of a layer in `State`, which it moves.
pub type Run<'a> = &'a dyn Fn(&NormSpec, Mode, &mut State, &ArrayD<f64>) -> ArrayD<f64>;

/// Over each channel.
const BATCH: [[f64; 4]; 8] = [
    [0.3779625532, -0.6299375887, -0.6299375887, 1.3858626951],
    [0.2847465778, 1.0440707854, -1.2339018373, -0.4745776297],
    [-1.1659974060, 1.1659974060, 0.7419983493, 0.3179992925],
    [-0.5388145156, 0.1796048385, 0.8980241927, -0.5388145156],
    [0.3779625532, 1.3858626951, -1.6378377306, -0.6299375887],
    [-1.2339018373, -0.4745776297, 0.2847465778, 1.8033949930],
    [0.1059997642, 0.7419983493, -2.0139955194, 0.1059997642],
    [-1.2572338697, 0.8980241927, -1.2572338697, 1.6164435468],
];

/// Over 2 groups of 2 channels.
const GROUP: [[f64; 4]; 8] = [
    [-0.4745776297, -1.2339018373, -1.2339018373, 0.2847465778],
    [1.0440707854, 1.8033949930, -0.4745776297, 0.2847465778],
    [-1.8240177294, 1.6654074921, 1.0309665427, 0.3965255933],
    [-0.5551358307, -0.2379153560, 0.0793051187, -0.5551358307],
    [-0.3617866965, 0.2170720179, -1.5195041254, -0.9406454109],
    [-0.3617866965, 0.2170720179, 0.7959307323, 1.9536481612],
    [0.4045197704, 1.2135593111, -2.2922786988, 0.4045197704],
    [-0.4045197704, 0.4045197704, -0.4045197704, 0.6741996173],
];

/// Over the 3 channels of each pixel.
const LAYER: [[f64; 3]; 8] = [
    [-1.2247356859, 1.2247356859, 0.0000000000],
    [-1.3728105700, 0.9805789785, 0.3922315914],
    [-0.9805789785, -0.3922315914, 1.3728105700],
    [0.0000000000, 0.0000000000, 0.0000000000],
    [0.0000000000, 0.0000000000, 0.0000000000],
    [-0.7071028037, -0.7071028037, 1.4142056075],
    [-1.2247425750, 1.2247425750, 0.0000000000],
    [-1.4142122896, 0.7071061448, 0.7071061448],
];

/// With plain weights.
const SWITCHABLE: [[f64; 4]; 8] = [
    [-0.1871780560, -0.6212141277, -0.6212141277, 0.2468580158],
    [-0.0447166783, 0.3761461764, -0.8864423878, -0.4655795330],
    [-1.6999571954, 1.1413767685, 0.6247705932, 0.1081644179],
    [-0.5417099348, -0.1189119369, 0.3038860610, -0.5417099348],
    [-0.0464479299, 0.3446925325, -0.8287288548, -0.4375883924],
    [-0.7753033716, -0.3959500399, -0.0165967083, 0.7421099551],
    [0.2046622843, 0.9217272221, -2.1855541749, 0.2046622843],
    [-0.7797653805, 0.3375103886, -0.7797653805, 0.7099356449],
];

/// The running mean after `a`.
const FIRST: [f64; 3] = [3.7944686409, 4.5276611814, 5.3313149253];

/// The running mean after `b`.
const SECOND: [f64; 3] = [2.9240941147, 3.3673835614, 3.9573212651];

/// `x`, 2 samples of 4 channels of 2×2 pixels.
fn example() -> ArrayD<f64> {
    let samples = [
        [[1, 0, 0, 2], [3, 4, 1, 2], [-2, 9, 7, 5], [2, 3, 4, 2]],
        [[1, 2, -1, 0], [1, 2, 3, 5], [4, 7, -6, 4], [1, 4, 1, 5]],
    ];
    let values = samples.as_flattened().as_flattened().iter().map(|&x| f64::from(x)).collect();
    ArrayD::from_shape_vec(vec![2, 4, 2, 2], values).unwrap()
}

/// A new layer's output.
fn train(run: Run, spec: impl Into<NormSpec>, x: &ArrayD<f64>) -> ArrayD<f64> {
    let spec = spec.into();
    run(&spec, Mode::Training, &mut State::new(&spec).unwrap(), x)
}

#[track_caller]
fn assert_close(found: &ArrayD<f64>, expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance, "element {i}: {found}, expected {expected}");
    }
}

/// Batch norm, group norm and layer norm are `(x − mean) / sqrt(var + 1e-5)`, the variance biased.
pub fn normalizes_the_example(run: Run, tolerance: f64) {
    let x = example();
    assert_close(&train(run, BatchNorm::new(4), &x), BATCH.as_flattened(), tolerance);
    assert_close(&train(run, GroupNorm::new(2, 4), &x), GROUP.as_flattened(), tolerance);
    let channels = x.select(Axis(1), &[0, 1, 3]);
    let pixels = channels.to_shape(vec![2, 3, 4]).unwrap();
    let tokens = pixels.permuted_axes(vec![0, 2, 1]).as_standard_layout().into_owned();
    assert_close(&train(run, LayerNorm::new([3]), &tokens), LAYER.as_flattened(), tolerance);
}

/// The running mean is `(1 − momentum)·old + momentum·batch mean`, here from 0 with momentum 0.25.
pub fn follows_the_running_mean(run: Run, tolerance: f64) {
    let spec = BatchNorm::new(3).momentum(0.25).into();
    let mut state = State::new(&spec).unwrap();
    let batches = [|i: f64| i.powf(1.5) / 10.0, f64::cos];
    for (batch, expected) in batches.into_iter().zip([FIRST, SECOND]) {
        let x = ArrayD::from_shape_vec(vec![5, 3, 4], (0..60).map(|i| batch(f64::from(i))).collect()).unwrap();
        run(&spec, Mode::Training, &mut state, &x);
        assert_close(state.running_mean.as_ref().unwrap(), &expected, tolerance);
    }
    assert_eq!(state.num_batches_tracked, Some(2));
}

/// Group norm with one group is layer norm over `C×H×W`, with `C` groups instance norm; and of a row
/// of mean 0, layer norm is RMS norm.
pub fn agrees_where_two_norms_are_one(run: Run, tolerance: f64) {
    let x = example();
    let layer = train(run, LayerNorm::new([4, 2, 2]), &x);
    assert_close(&train(run, GroupNorm::new(1, 4), &x), layer.as_slice().unwrap(), tolerance);
    let instance = train(run, InstanceNorm::new(4), &x);
    assert_close(&train(run, GroupNorm::new(4, 4), &x), instance.as_slice().unwrap(), tolerance);
    let centred = arr1(&[-3.0, 1.0, 4.0, -2.0]).into_dyn();
    let layer = train(run, LayerNorm::new([4]).eps(1e-3), &centred);
    assert_close(&train(run, RmsNorm::new([4]).eps(1e-3), &centred), layer.as_slice().unwrap(), tolerance);
}

/// Switchable norm takes plain weights as they are, in the order instance, layer, batch.
pub fn mixes_with_plain_weights(run: Run, tolerance: f64) {
    let spec = SwitchableNorm::new(4).weighting(Weighting::Plain).into();
    let mut state = State::new(&spec).unwrap();
    state.mean_weight = Some(arr1(&[0.5, 0.3, 0.4]).into_dyn());
    state.var_weight = Some(arr1(&[0.2, 0.7, 0.3]).into_dyn());
    let y = run(&spec, Mode::Training, &mut state, &example());
    assert_close(&y, SWITCHABLE.as_flattened(), tolerance);
}

mod gpu {
    use super::*;
    use crate::{adapters, compare};
    use gpunorm::GpuNorm;

    /// Forwards of f32: of values of a few units, whose statistics have up to 16 terms.
    const TOLERANCE: f64 = 1e-5;

    fn on_every_adapter(check: fn(Run, f64)) {
        for (_, gpu) in adapters::all() {
            let run = |spec: &NormSpec, mode: Mode, state: &mut State, x: &ArrayD<f64>| {
                let mut norm = GpuNorm::new(gpu, spec.clone()).unwrap();
                norm.load_state_dict(&compare::state_dict(state), "").unwrap();
                if mode == Mode::Evaluation {
                    norm.eval();
                }
                let y = norm.forward(&x.mapv(|value| value as f32)).unwrap();
                let moved = norm.state_dict("").unwrap();
                let back = |name: &str| moved.get(name).map(|array| array.mapv(f64::from));
                (state.running_mean, state.running_var) = (back("running_mean"), back("running_var"));
                state.num_batches_tracked = moved.get("num_batches_tracked").map(|batches| batches[[]] as u64);
                y.mapv(f64::from)
            };
            check(&run, TOLERANCE);
        }
    }

    #[test]
    fn normalizes_the_example() {
        on_every_adapter(super::normalizes_the_example);
    }

    #[test]
    fn follows_the_running_mean() {
        on_every_adapter(super::follows_the_running_mean);
    }

    #[test]
    fn agrees_where_two_norms_are_one() {
        on_every_adapter(super::agrees_where_two_norms_are_one);
    }

    #[test]
    fn mixes_with_plain_weights() {
        on_every_adapter(super::mixes_with_plain_weights);
    }
}

mod oracle {
    use super::*;

    /// Numpy's digits above end at 1e-10; eps is f32's 1e-5, which moves them by 1e-12.
    const TOLERANCE: f64 = 1e-10;

    fn run(spec: &NormSpec, mode: Mode, state: &mut State, x: &ArrayD<f64>) -> ArrayD<f64> {
        reference::forward(spec, mode, state, x).unwrap().output
    }

    #[test]
    fn normalizes_the_example() {
        super::normalizes_the_example(&run, TOLERANCE);
    }

    #[test]
    fn follows_the_running_mean() {
        super::follows_the_running_mean(&run, TOLERANCE);
    }

    #[test]
    fn agrees_where_two_norms_are_one() {
        super::agrees_where_two_norms_are_one(&run, TOLERANCE);
    }

    #[test]
    fn mixes_with_plain_weights() {
        super::mixes_with_plain_weights(&run, TOLERANCE);
    }
}
