//! What layers do not take, they say at once, on the thread that called.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{Device, Tensor};
use gpunorm_burn::*;

use crate::values::device;

fn refused(what: impl FnOnce(&Device)) -> String {
    let device = device();
    let panic = catch_unwind(AssertUnwindSafe(|| what(&device))).expect_err("a panic");
    panic
        .downcast_ref::<String>()
        .cloned()
        .or(panic.downcast_ref::<&str>().map(|text| text.to_string()))
        .expect("a message")
}

#[track_caller]
fn says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{message:?} does not say {word:?}");
    }
}

#[test]
fn shapes() {
    let x = |device: &Device| Tensor::<3>::zeros([2, 4, 5], device);
    let message = refused(|device| drop(LayerNormConfig::new(6).init(device).forward(x(device))));
    says(&message, &["layer norm", "[*, 6]", "[2, 4, 5]"]);
    let message = refused(|device| drop(LayerNormConfig::over([3, 5]).init_over::<2>(device).forward(x(device))));
    says(&message, &["layer norm", "[*, 3, 5]", "[2, 4, 5]"]);
    let message = refused(|device| drop(RmsNormConfig::new(6).init(device).forward(x(device))));
    says(&message, &["rms norm", "[*, 6]", "[2, 4, 5]"]);
    let message = refused(|device| drop(GroupNormConfig::new(2, 6).init(device).forward(x(device))));
    says(&message, &["group norm", "6", "4", "[2, 4, 5]"]);
    let message = refused(|device| drop(InstanceNormConfig::new(6).init(device).forward(x(device))));
    says(&message, &["instance norm", "6", "4", "[2, 4, 5]"]);
    let message =
        refused(|device| drop(InstanceNormConfig::new(4).init(device).forward(Tensor::<2>::zeros([2, 4], device))));
    says(&message, &["instance norm", "rank 2"]);
    let message = refused(|device| drop(BatchNormConfig::new(6).init(device).forward(x(device))));
    says(&message, &["batch norm", "6", "4", "[2, 4, 5]"]);
    let message = refused(|device| drop(BatchNormConfig::new(6).init(device).forward(Tensor::<1>::zeros([6], device))));
    says(&message, &["batch norm", "at least 2 dimensions", "[6]"]);
    let message = refused(|device| drop(SwitchableNormConfig::new(6).init(device).forward(x(device))));
    says(&message, &["switchable norm", "6", "4", "[2, 4, 5]"]);
    // As torch, and not as burn, whose variance is 0 then.
    let message = refused(|device| {
        let device = device.clone().autodiff();
        drop(BatchNormConfig::new(6).init(&device).forward(Tensor::<2>::zeros([1, 6], &device)));
    });
    says(&message, &["batch norm", "more than 1 value", "[1, 6]"]);
}

/// In burn's words.
#[test]
fn configs() {
    says(&refused(|device| drop(GroupNormConfig::new(4, 6).init(device))), &["divisible by the number of groups"]);
    says(&refused(|device| drop(BatchNormConfig::new(0).init(device))), &["num_features must be greater than zero."]);
    says(
        &refused(|device| drop(BatchNormConfig::new(1).with_epsilon(0.0).init(device))),
        &["epsilon must be finite and positive."],
    );
    says(
        &refused(|device| drop(BatchNormConfig::new(1).with_momentum(1.1).init(device))),
        &["momentum must be finite and within [0, 1]."],
    );
    says(&refused(|device| drop(RmsNormConfig::new(4).with_epsilon(0.0).init(device))), &["epsilon must be positive."]);
    says(&refused(|device| drop(LayerNormConfig::over([3, 5]).init(device))), &["[3, 5]", "init_over"]);
}

/// Not what a kernel would say later: an empty input is an empty output.
#[test]
fn empty_inputs() {
    let device = device();
    let y = LayerNormConfig::new(5).init(&device).forward(Tensor::<2>::zeros([0, 5], &device));
    assert_eq!(y.dims(), [0, 5]);
}
