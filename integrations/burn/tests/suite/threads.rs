//! Eight threads on one device.

use std::sync::Barrier;

use burn::tensor::Tensor;
use gpunorm::ndarray::ArrayD;
use gpunorm_burn::{BatchNorm, BatchNormConfig, LayerNorm, LayerNormConfig, SwitchableNorm, SwitchableNormConfig};

use crate::values::{array, device, tensor, values};

const THREADS: u32 = 8;

/// What a training step of three layers gives a thread of this number.
fn step(layer: &LayerNorm, batch: &BatchNorm, switchable: &SwitchableNorm, number: u32) -> (ArrayD<f32>, ArrayD<f32>) {
    let device = device().autodiff();
    let x: Tensor<4> = tensor(&values(&[4, 6, 9, 8 + number as usize], number, 1.0, 2.0), &device).require_grad();
    let y = switchable.forward(batch.forward(layer.forward(x.clone().swap_dims(2, 3).reshape([4, 6, -1, 9]))));
    let gradients = (y.clone() * y.clone()).sum().backward();
    (array(y), array(x.grad(&gradients).expect("a gradient")))
}

#[test]
fn eight_threads_get_what_one_gets() {
    let device = device().autodiff();
    // What is in training mode has running statistics, which threads share: outputs do not depend on them.
    let layer = LayerNormConfig::new(9).init(&device);
    let batch = BatchNormConfig::new(6).init(&device);
    let switchable = SwitchableNormConfig::new(6).init(&device);
    let alone: Vec<_> = (0..THREADS).map(|number| step(&layer, &batch, &switchable, number)).collect();
    let barrier = Barrier::new(THREADS as usize);
    std::thread::scope(|scope| {
        for (number, alone) in (0..THREADS).zip(&alone) {
            let (layer, batch, switchable, barrier) = (layer.clone(), batch.clone(), switchable.clone(), &barrier);
            scope.spawn(move || {
                barrier.wait();
                for _ in 0..5 {
                    assert_eq!(step(&layer, &batch, &switchable, number), *alone, "thread {number}");
                }
            });
        }
    });
    let mean = array(batch.running_mean.expect("a running mean").value_sync());
    assert!(mean.iter().all(|mean| mean.is_finite()));
}
