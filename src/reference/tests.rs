//! What the torch fixtures cannot show of the oracle.

use ndarray::ArrayD;

use super::moments::Moments;
use super::*;
use crate::dtype::DType;
use crate::spec::{BatchNorm, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm, SwitchableNorm, Weighting};

#[test]
fn where_var_plus_eps_is_zero_the_output_is_the_bias() {
    let specs: [NormSpec; 5] = [
        LayerNorm::new([4]).eps(0.0).into(),
        RmsNorm::new([4]).eps(0.0).into(),
        InstanceNorm::new(4).eps(0.0).affine(true).into(),
        GroupNorm::new(2, 4).eps(0.0).into(),
        SwitchableNorm::new(4).eps(0.0).into(),
    ];
    for spec in specs {
        let mut state = State::new(&spec).unwrap();
        state.bias = state.bias.map(|bias| bias + 0.25);
        let x = ArrayD::zeros(vec![2, 4, 4]);
        let forward = forward(&spec, Mode::Training, &mut state, &x).unwrap();
        assert!(forward.inverse_std.iter().all(|&r| r == 0.0), "{spec:?}");
        let bias = if spec.has_bias() { 0.25 } else { 0.0 };
        assert!(forward.output.iter().all(|&y| y == bias), "{spec:?}: {}", forward.output);
    }
    let spec = BatchNorm::new(4).eps(0.0).into();
    let mut state = State::new(&spec).unwrap();
    state.running_var = Some(ArrayD::zeros(vec![4]));
    let forward = forward(&spec, Mode::Evaluation, &mut state, &ArrayD::ones(vec![2, 4])).unwrap();
    assert!(forward.output.iter().all(|&y| y == 0.0), "{}", forward.output);
}

#[test]
fn an_empty_batch_counts_and_moves_nothing() {
    // Torch has no switchable norm, and makes NaN of instance norm's running statistics.
    let specs: [(NormSpec, u64); 2] =
        [(SwitchableNorm::new(3).into(), 1), (InstanceNorm::new(3).track_running_stats(true).into(), 0)];
    for (spec, count) in specs {
        let before = State::new(&spec).unwrap();
        let mut state = before.clone();
        let forward = forward(&spec, Mode::Training, &mut state, &ArrayD::zeros(vec![0, 3, 2])).unwrap();
        assert_eq!(forward.output.shape(), [0, 3, 2]);
        assert_eq!(state, State { num_batches_tracked: Some(count), ..before });
    }
}

#[test]
fn a_refused_input_changes_nothing() {
    let spec = BatchNorm::new(3).into();
    let mut state = State::new(&spec).unwrap();
    assert!(forward(&spec, Mode::Training, &mut state, &ArrayD::zeros(vec![1, 3])).is_err());
    assert_eq!(state, State::new(&spec).unwrap());
}

#[test]
fn switchable_norm_starts_at_equal_shares() {
    for (weighting, first) in [(Weighting::Softmax, 1.0), (Weighting::Plain, 0.5)] {
        let spec = SwitchableNorm::new(3).weighting(weighting).batch_statistics(false).into();
        let state = State::new(&spec).unwrap();
        assert_eq!(state.mean_weight, Some(ArrayD::from_elem(vec![2], first)));
        assert_eq!(state.var_weight, state.mean_weight);
        assert_eq!((state.running_mean, state.num_batches_tracked), (None, None));
    }
}

#[test]
fn row_len_is_the_longest_reduction_behind_an_output() {
    let switchable = SwitchableNorm::new(3);
    let cases: [(NormSpec, Mode, usize); 7] = [
        (BatchNorm::new(3).into(), Mode::Training, 5 * 2),
        (BatchNorm::new(3).into(), Mode::Evaluation, 1),
        (GroupNorm::new(1, 3).into(), Mode::Training, 3 * 2),
        (RmsNorm::new([3, 2]).into(), Mode::Training, 3 * 2),
        (switchable.clone().into(), Mode::Training, 5 * 2),
        (switchable.clone().into(), Mode::Evaluation, 3 * 2),
        (switchable.batch_statistics(false).into(), Mode::Training, 3 * 2),
    ];
    let x = ArrayD::from_shape_fn(vec![5, 3, 2], |index| (index[0] * index[1] + index[2]) as f64);
    for (spec, mode, row_len) in cases {
        let forward = forward(&spec, mode, &mut State::new(&spec).unwrap(), &x).unwrap();
        assert_eq!(forward.row_len, row_len, "{spec:?} {mode:?}");
    }
}

#[test]
fn magnitude_is_the_largest_of_the_row_scaled_and_shifted() {
    let spec = LayerNorm::new([2]).eps(0.0).into();
    let mut state = State::new(&spec).unwrap();
    state.weight = Some(ndarray::arr1(&[-3.0, 0.5]).into_dyn());
    state.bias = Some(ndarray::arr1(&[-1.0, 0.0]).into_dyn());
    let x = ndarray::arr2(&[[1.0, 3.0], [7.0, 7.0]]).into_dyn();
    let forward = forward(&spec, Mode::Training, &mut state, &x).unwrap();
    assert_eq!(forward.output, ndarray::arr2(&[[2.0, 0.5], [-1.0, 0.0]]).into_dyn());
    assert_eq!(forward.magnitude, ndarray::arr2(&[[4.0, 0.5], [1.0, 0.0]]).into_dyn());
    assert_eq!(forward.inverse_std, ndarray::arr2(&[[1.0, 1.0], [0.0, 0.0]]).into_dyn());
    assert_eq!(forward.tolerance(DType::F32)[[0, 0]], 4.0 * 2f64.powi(-24) * 4.0 * (4.0 + 1.0));
}

#[test]
fn tolerance_adds_one_ulp_of_a_narrower_output() {
    let sums = 4.0 * 2f64.powi(-24) * 3.0 * (4.0 + 10.0);
    assert_eq!(tolerance(3.0, 1024, DType::F32), sums);
    assert_eq!(tolerance(3.0, 1024, DType::F16), sums + 2f64.powi(-9));
    assert_eq!(tolerance(3.0, 1024, DType::BF16), sums + 2f64.powi(-6));
    // Next to nothing: the smallest subnormals. An empty row is no worse than a single element.
    assert_eq!(tolerance(0.0, 0, DType::F32), 0.0);
    assert_eq!(tolerance(0.0, 1, DType::F16), 2f64.powi(-24));
    assert_eq!(tolerance(0.0, 1, DType::BF16), 2f64.powi(-133));
    // The ulps are those of the types themselves.
    let above = |bits: u16| half::f16::from_bits(bits + 1).to_f64() - half::f16::from_bits(bits).to_f64();
    for value in [0.75, 1.0, 1.5, 2.0, 40000.0, 2f64.powi(-14), 3e-7] {
        let ulp = tolerance(value, 1, DType::F16) - tolerance(value, 1, DType::F32);
        approx::assert_relative_eq!(ulp, above(half::f16::from_f64(value).to_bits()), max_relative = 1e-9);
    }
}

#[test]
fn a_million_elements_around_a_large_mean_lose_nothing_visible() {
    let values: Vec<f64> = (0..1 << 20).map(|i| 1e6 + f64::from(i % 3) * 0.1).collect();
    let moments = Moments::of(&values[..3 * 300_000]);
    approx::assert_relative_eq!(moments.mean, 1e6 + 0.1, max_relative = 1e-15);
    approx::assert_relative_eq!(moments.var, 0.02 / 3.0, max_relative = 1e-9);
}
