//! Models in f16: parameters of the model's type, f32 within.

use burn::module::Param;
use burn::tensor::{DType, FloatDType, Tensor};
use gpunorm::ndarray::ArrayD;
use gpunorm_burn::{BatchNormConfig, LayerNormConfig};

use crate::values::{array, device, tensor_as, values};

#[test]
fn half_precision_models() {
    let device = device().autodiff();
    assert!(device.supports_dtype(DType::F16));
    let mut norm = LayerNormConfig::new(40).init(&device);
    let parameter =
        |value: f32| Param::from_tensor(tensor_as(&ArrayD::from_elem(vec![40], value), FloatDType::F16, &device));
    (norm.gamma, norm.beta) = (Some(parameter(1.0)), Some(parameter(0.0)));
    let x: Tensor<2> = tensor_as(&values(&[9, 40], 1, 3.0, 2.0), FloatDType::F16, &device);
    let y = norm.forward(x);
    assert_eq!(y.dtype(), DType::F16);
    let gradients = y.sum().backward();
    let gamma = norm.gamma.as_ref().and_then(|gamma| gamma.grad(&gradients)).expect("a gradient");
    assert_eq!(gamma.dtype(), DType::F16, "of what it is of");
}

/// A square of 300 does not fit f16, and a batch's sum of such values neither.
#[test]
fn large_f16_values() {
    let device = device().autodiff();
    let norm = BatchNormConfig::new(4).init(&device);
    let x = values(&[16, 4, 8, 8], 1, 500.0, 100.0);
    let y = norm.forward(tensor_as::<4>(&x, FloatDType::F16, &device));
    assert_eq!(y.dtype(), DType::F16);
    let y = array(y);
    assert!(y.iter().all(|y| y.is_finite()));
    let average = y.sum() / y.len() as f32;
    assert!(average.abs() < 1e-2, "{average}");
    // The running statistics are of the module's type, f32, whatever the input is.
    assert_eq!(norm.running_mean.expect("a running mean").value_sync().dtype(), DType::F32);
}
