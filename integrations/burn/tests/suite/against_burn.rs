//! Against burn's own layers, where these are right: ordinary means, f32.

use burn::module::Param;
use burn::tensor::{Device, Tensor};
use gpunorm::ndarray::ArrayD;

use crate::values::{array, device, tensor, values};

/// How far two forms of one sum in f32 may be apart, of values around 1: burn's is bounded by no analysis, so 2⁻²⁴ times 64.
const APART: f32 = 64.0 / (1 << 24) as f32;

fn close(what: &str, ours: &ArrayD<f32>, burns: &ArrayD<f32>) {
    assert_eq!(ours.shape(), burns.shape(), "{what}");
    let size = burns.iter().fold(1.0, |most: f32, value| most.max(value.abs()));
    for (ours, burns) in ours.iter().zip(burns) {
        assert!((ours - burns).abs() <= APART * size, "{what}: {ours} and {burns}, of {size}");
    }
}

/// Both layers with the same parameters on the same input: outputs, and gradients through an activation and a product.
macro_rules! same {
    ($what:literal, $config:ident($($argument:expr),*), $shape:expr, $rank:literal, [$($parameter:ident: $ours:expr, $burns:expr);*]) => {{
        let device = device().autodiff();
        let mut ours = gpunorm_burn::$config::new($($argument),*).init(&device);
        let mut burns = burn_nn::$config::new($($argument),*).init(&device);
        $(
            let $parameter = parameter(stringify!($parameter), $shape, &device);
            ours = $ours(ours, $parameter.clone());
            burns = $burns(burns, $parameter);
        )*
        let x = values(&$shape, 1, 0.5, 1.5);
        let run = |forward: &dyn Fn(Tensor<$rank>) -> Tensor<$rank>| {
            let x = tensor::<$rank>(&x, &device).require_grad();
            let y = forward(x.clone() * 0.5);
            let gradients = (burn::tensor::activation::gelu(y.clone()) * tensor(&values(&$shape, 2, 0.0, 1.0), &device)).sum().backward();
            (array(y), array(x.grad(&gradients).expect("a gradient")))
        };
        let (our_y, our_dx) = run(&|x| ours.forward(x));
        let (burn_y, burn_dx) = run(&|x| burns.forward(x));
        close(concat!($what, ", output"), &our_y, &burn_y);
        close(concat!($what, ", gradient"), &our_dx, &burn_dx);
    }};
}

fn parameter<const N: usize>(name: &str, shape: [usize; N], device: &Device) -> Param<Tensor<1>> {
    let (len, seed) = if name.ends_with("last") { (shape[N - 1], 3) } else { (shape[1], 4) };
    Param::from_tensor(tensor(&values(&[len], seed + name.len() as u32, 1.0, 0.3), device))
}

#[test]
fn layer_norm() {
    same!("layer norm", LayerNormConfig(48), [7, 5, 48], 3, [
        gamma_last: |mut norm: gpunorm_burn::LayerNorm, gamma| { norm.gamma = Some(gamma); norm }, |mut norm: burn_nn::LayerNorm, gamma| { norm.gamma = gamma; norm };
        beta_last: |mut norm: gpunorm_burn::LayerNorm, beta| { norm.beta = Some(beta); norm }, |mut norm: burn_nn::LayerNorm, beta| { norm.beta = Some(beta); norm }
    ]);
}

#[test]
fn rms_norm() {
    same!("rms norm", RmsNormConfig(48), [7, 5, 48], 3, [
        gamma_last: |mut norm: gpunorm_burn::RmsNorm, gamma| { norm.gamma = Some(gamma); norm }, |mut norm: burn_nn::RmsNorm, gamma| { norm.gamma = gamma; norm }
    ]);
}

#[test]
fn group_norm() {
    same!("group norm", GroupNormConfig(4, 12), [3, 12, 9, 9], 4, [
        gamma: |mut norm: gpunorm_burn::GroupNorm, gamma| { norm.gamma = Some(gamma); norm }, |mut norm: burn_nn::GroupNorm, gamma| { norm.gamma = Some(gamma); norm };
        beta: |mut norm: gpunorm_burn::GroupNorm, beta| { norm.beta = Some(beta); norm }, |mut norm: burn_nn::GroupNorm, beta| { norm.beta = Some(beta); norm }
    ]);
}

#[test]
fn instance_norm() {
    same!("instance norm", InstanceNormConfig(12), [3, 12, 9, 9], 4, [
        gamma: |mut norm: gpunorm_burn::InstanceNorm, gamma| { norm.gamma = Some(gamma); norm }, |mut norm: burn_nn::InstanceNorm, gamma| { norm.gamma = Some(gamma); norm };
        beta: |mut norm: gpunorm_burn::InstanceNorm, beta| { norm.beta = Some(beta); norm }, |mut norm: burn_nn::InstanceNorm, beta| { norm.beta = Some(beta); norm }
    ]);
}

#[test]
fn batch_norm() {
    same!("batch norm", BatchNormConfig(12), [3, 12, 9, 9], 4, [
        gamma: |mut norm: gpunorm_burn::BatchNorm, gamma| { norm.gamma = Some(gamma); norm }, |mut norm: burn_nn::BatchNorm, gamma| { norm.gamma = gamma; norm };
        beta: |mut norm: gpunorm_burn::BatchNorm, beta| { norm.beta = Some(beta); norm }, |mut norm: burn_nn::BatchNorm, beta| { norm.beta = beta; norm }
    ]);
}
