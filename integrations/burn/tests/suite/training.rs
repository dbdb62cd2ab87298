//! Nets that are trained from one checkpoint with burn's layers and with these lose the same.

use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_nn::loss::CrossEntropyLossConfig;
use burn_optim::{GradientsParams, SgdConfig};

use crate::nets::{burns, ours};
use crate::values::{device, tensor, values};

const STEPS: u32 = 50;

/// How far losses may be apart: the issue's.
const APART: f32 = 1e-4;

/// The losses of so many steps of gradient descent.
fn losses<M: Module>(mut model: M, rate: f64, loss: impl Fn(&M, u32) -> Tensor<1>) -> Vec<f32> {
    let mut optimizer = SgdConfig::new().init();
    let mut losses = vec![];
    for step in 0..STEPS {
        let loss = loss(&model, step);
        losses.push(loss.clone().into_scalar::<f32>());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(rate, model, gradients);
    }
    losses
}

fn same(ours: &[f32], burns: &[f32]) {
    println!("from {} to {}", ours[0], ours[ours.len() - 1]);
    for (step, (ours, burns)) in ours.iter().zip(burns).enumerate() {
        assert!((ours - burns).abs() <= APART, "step {step}: {ours} and {burns}");
    }
    assert!(ours[ours.len() - 1] < 0.9 * ours[0], "nothing is learned: {ours:?}");
}

/// Bars that stand or lie, bright or dark.
fn images(step: u32, device: &Device) -> (Tensor<4>, Tensor<1, Int>) {
    let (n, size) = (8, 12);
    let mut images = values(&[n, 1, size, size], 100 + step, 0.0, 0.3);
    let classes: Vec<i64> = (0..n as i64).map(|i| (i + i64::from(step)) % 4).collect();
    for (i, class) in classes.iter().enumerate() {
        let place = (i * 5 + step as usize * 3) % (size - 2) + 1;
        for along in 0..size {
            let at = if class % 2 == 0 { [i, 0, place, along] } else { [i, 0, along, place] };
            images[at] += if class / 2 == 0 { 2.0 } else { -2.0 };
        }
    }
    (tensor(&images, device), Tensor::from_data(TensorData::new(classes, [n]), device))
}

#[test]
fn a_convolutional_net() {
    let device = device().autodiff();
    device.seed(7);
    let checkpoint = burns::ConvNet::new(&device);
    let bytes = checkpoint.clone().into_record().into_bytes().expect("a record");
    let record = ModuleRecord::from_bytes(bytes).expect("a record");
    let ours = ours::ConvNet::new(&device).load_record(record);
    let loss = |logits: Tensor<2>, classes| CrossEntropyLossConfig::new().init(&device).forward(logits, classes);
    let ours = losses(ours, 0.05, |model, step| {
        let (images, classes) = images(step, &device);
        loss(model.forward(images), classes)
    });
    let burns = losses(checkpoint, 0.05, |model, step| {
        let (images, classes) = images(step, &device);
        loss(model.forward(images), classes)
    });
    same(&ours, &burns);
}

/// Counting, by steps that differ between texts.
fn texts(step: u32, device: &Device) -> (Tensor<2, Int>, Tensor<1, Int>) {
    let (n, length, vocabulary) = (8, 16, 13);
    let text = |i: i64, place: i64| (i64::from(step) + i + place * (1 + i % 4)) % vocabulary;
    let tokens: Vec<i64> = (0..n).flat_map(|i| (0..length).map(move |place| text(i, place))).collect();
    let next: Vec<i64> = (0..n).flat_map(|i| (0..length).map(move |place| text(i, place + 1))).collect();
    let shape = [n as usize, length as usize];
    let all = shape[0] * shape[1];
    (Tensor::from_data(TensorData::new(tokens, shape), device), Tensor::from_data(TensorData::new(next, [all]), device))
}

#[test]
fn a_transformer() {
    let device = device().autodiff();
    device.seed(8);
    let checkpoint = burns::Transformer::new(13, 16, &device);
    let bytes = checkpoint.clone().into_record().into_bytes().expect("a record");
    let ours = ours::Transformer::new(13, 16, &device).load_record(ModuleRecord::from_bytes(bytes).expect("a record"));
    let loss = |logits: Tensor<3>, next| {
        let [n, length, vocabulary] = logits.dims();
        CrossEntropyLossConfig::new().init(&device).forward(logits.reshape([n * length, vocabulary]), next)
    };
    let ours = losses(ours, 0.1, |model, step| {
        let (tokens, next) = texts(step, &device);
        loss(model.forward(tokens), next)
    });
    let burns = losses(checkpoint, 0.1, |model, step| {
        let (tokens, next) = texts(step, &device);
        loss(model.forward(tokens), next)
    });
    same(&ours, &burns);
}
