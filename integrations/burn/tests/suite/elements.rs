//! Models in f16 and bf16: parameters of the model's type, f32 within.

use burn::tensor::{DType, FloatDType, Tensor};
use gpunorm_burn::{BatchNormConfig, LayerNormConfig};

use crate::values::{array, device, tensor, values};

#[test]
fn half_precision_models() {
    for dtype in [FloatDType::F16, FloatDType::BF16] {
        let device = device().autodiff();
        if !device.supports_dtype(DType::from(dtype)) {
            println!("burn has no {dtype:?} on this device, but as storage");
        }
        let mut norm = LayerNormConfig::new(40).init(&device);
        norm.gamma = norm.gamma.map(|gamma| gamma.map(|gamma| gamma.cast(dtype)));
        norm.beta = norm.beta.map(|beta| beta.map(|beta| beta.cast(dtype)));
        let x: Tensor<2> = tensor(&values(&[9, 40], 1, 3.0, 2.0), &device).cast(dtype);
        let y = norm.forward(x);
        assert_eq!(y.dtype(), DType::from(dtype));
        let gradients = y.sum().backward();
        let gamma = norm.gamma.as_ref().and_then(|gamma| gamma.grad(&gradients)).expect("a gradient");
        assert_eq!(gamma.dtype(), DType::from(dtype), "of what it is of");
    }
}

/// A square of 300 does not fit f16, and a batch's sum of such values neither.
#[test]
fn large_f16_values() {
    let device = device().autodiff();
    let norm = BatchNormConfig::new(4).init(&device);
    let x = values(&[16, 4, 8, 8], 1, 500.0, 100.0);
    let y = norm.forward(tensor::<4>(&x, &device).cast(FloatDType::F16));
    assert_eq!(y.dtype(), DType::F16);
    let y = array(y);
    assert!(y.iter().all(|y| y.is_finite()));
    let average = y.sum() / y.len() as f32;
    assert!(average.abs() < 1e-2, "{average}");
    // The running statistics are of the module's type, f32, whatever the input is.
    assert_eq!(norm.running_mean.expect("a running mean").value_sync().dtype(), DType::F32);
    let _ = norm.beta.expect("a beta").val().dtype();
}
