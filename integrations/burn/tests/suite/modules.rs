//! Modules as burn has them: how they look, what freezing and evaluating do to them, and their running statistics.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use gpunorm_burn::*;

use crate::values::{array, device, tensor, values};

/// A running statistic, as numbers.
fn numbers(state: &Option<burn::module::RunningState<Tensor<1>>>) -> Vec<f32> {
    state.as_ref().expect("a running statistic").value_sync().into_data().iter().collect()
}

#[test]
fn they_are_shown_as_burns_are() {
    let device = device();
    let same = |ours: String, burns: String| assert_eq!(ours, burns);
    same(LayerNormConfig::new(6).init(&device).to_string(), burn_nn::LayerNormConfig::new(6).init(&device).to_string());
    same(RmsNormConfig::new(6).init(&device).to_string(), burn_nn::RmsNormConfig::new(6).init(&device).to_string());
    same(
        GroupNormConfig::new(2, 6).init(&device).to_string(),
        burn_nn::GroupNormConfig::new(2, 6).init(&device).to_string(),
    );
    same(
        InstanceNormConfig::new(6).init(&device).to_string(),
        burn_nn::InstanceNormConfig::new(6).init(&device).to_string(),
    );
    same(BatchNormConfig::new(6).init(&device).to_string(), burn_nn::BatchNormConfig::new(6).init(&device).to_string());
    let frozen =
        (BatchNormConfig::new(6).init(&device).freeze(), burn_nn::BatchNormConfig::new(6).init(&device).freeze());
    same(frozen.0.to_string(), frozen.1.to_string());
}

/// 1.0667, where burn's follows the biased variance to 1.025.
#[test]
fn running_variances_are_torchs() {
    let device = device().autodiff();
    let x = || Tensor::<2>::from_floats([[1.0], [2.0], [3.0], [4.0]], &device);
    let norm = BatchNormConfig::new(1).init(&device);
    norm.forward(x());
    assert_eq!(numbers(&norm.running_mean), [0.25]);
    assert!((numbers(&norm.running_var)[0] - (0.9 + 0.1 * 5.0 / 3.0)).abs() < 1e-6);
    // A second batch, of other numbers.
    norm.forward(x() * 2.0);
    assert!((numbers(&norm.running_mean)[0] - (0.9 * 0.25 + 0.1 * 5.0)).abs() < 1e-6);
}

#[test]
fn averages_over_all_batches() {
    let device = device().autodiff();
    let norm = BatchNormConfig::new(1).averaging().init(&device);
    for scale in [1.0, 2.0, 6.0] {
        norm.forward(Tensor::<2>::from_floats([[1.0], [2.0], [3.0], [4.0]], &device) * scale);
    }
    assert!((numbers(&norm.running_mean)[0] - 2.5 * 3.0).abs() < 1e-5);
    assert!((numbers(&norm.running_var)[0] - 5.0 / 3.0 * (1.0 + 4.0 + 36.0) / 3.0).abs() < 1e-4);
    assert_eq!(numbers(&norm.num_batches_tracked), [3.0]);
}

/// Without them, evaluation is by the batch, too.
#[test]
fn without_running_statistics() {
    let norm = BatchNormConfig::new(6).without_running_stats().without_affine().init(&device());
    let y = array(norm.forward(tensor::<3>(&values(&[4, 6, 9], 1, 100.0, 3.0), &device())));
    assert!((y.sum() / y.len() as f32).abs() < 1e-5);
    assert_eq!(norm.num_params(), 0);
}

#[test]
fn instances_have_running_statistics_where_a_momentum_is_said() {
    let device = device();
    let norm = InstanceNormConfig::new(6).with_momentum(Some(1.0)).init(&device.clone().autodiff());
    let x = values(&[4, 6, 9], 1, 100.0, 3.0);
    let trained = array(norm.forward(tensor::<3>(&x, &device.clone().autodiff())));
    let norm = norm.valid();
    let evaluated = array(norm.forward(tensor::<3>(&x, &device)));
    assert_ne!(trained, evaluated);
    let mean = numbers(&norm.running_mean).iter().sum::<f32>() / 6.0;
    assert!((mean - x.sum() / x.len() as f32).abs() < 1e-3);
}

/// A net's statistics go along to its evaluating twin.
#[test]
fn valid_and_train() {
    let device = device().autodiff();
    let norm = SwitchableNormConfig::new(6).init(&device);
    let x = values(&[4, 6, 9], 1, 3.0, 2.0);
    norm.forward(tensor::<3>(&x, &device));
    let valid = norm.valid();
    assert_eq!(numbers(&valid.running_mean), numbers(&norm.running_mean));
    assert_ne!(numbers(&valid.running_mean), [0.0; 6]);
    let before = numbers(&valid.running_mean);
    valid.forward(tensor::<3>(&x, &device.inner()));
    assert_eq!(numbers(&valid.running_mean), before, "evaluation moves nothing");
}

/// As burn's: what freezing gamma alone does not stop.
#[test]
fn frozen_parts() {
    let device = device().autodiff();
    let mut norm = BatchNormConfig::new(6).init(&device);
    norm.gamma = norm.gamma.map(|gamma| gamma.freeze());
    norm.forward(tensor::<3>(&values(&[4, 6, 9], 1, 3.0, 2.0), &device));
    assert_ne!(numbers(&norm.running_mean), [0.0; 6]);
    let before = numbers(&norm.running_mean);
    norm.training = Param::from_bool(false);
    norm.forward(tensor::<3>(&values(&[4, 6, 9], 1, 3.0, 2.0), &device));
    assert_eq!(numbers(&norm.running_mean), before);
}
