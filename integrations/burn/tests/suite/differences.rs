//! Gradients against finite differences of the layers' own outputs, along random directions; and the same gradients under gradient
//! checkpointing, of frozen parameters, and where burn recomputes what was before the layer.

use burn::module::Module;
use burn::tensor::{Device, FloatDType, Tensor};
use gpunorm::NormSpec;
use gpunorm::ndarray::ArrayD;
use gpunorm::reference::State;
use gpunorm_burn::{BatchNormConfig, LayerNormConfig};

use crate::float64::{specs, state};
use crate::layer::Layer;
use crate::values::{array, device, tensor, values};

/// Half a step. The error of a central difference goes with its square: of two, by one step and by half of it, (4·b − a) / 3 is
/// off by less than they are apart (Richardson). That of rounding goes with its inverse.
const STEP: f64 = 1.0 / 64.0;

/// Σ y·dy, in f64.
fn loss(spec: &NormSpec, state: &State, x: &ArrayD<f64>, dy: &ArrayD<f32>, evaluates: bool, device: &Device) -> f64 {
    let mut layer = Layer::new(spec, state, device).expect("a module");
    if evaluates {
        layer.evaluate();
    }
    let y = layer.run(&x.mapv(|value| value as f32), None, device, FloatDType::F32).output;
    y.iter().zip(dy).map(|(&y, &dy)| f64::from(y) * f64::from(dy)).sum()
}

fn moved(array: &ArrayD<f64>, direction: &ArrayD<f64>, by: f64) -> ArrayD<f64> {
    // Of what a layer gets, f32.
    (array + &(direction * by)).mapv(|value| f64::from(value as f32))
}

/// What a random direction makes of a gradient, roughly.
fn size_of(gradient: &ArrayD<f32>, direction: &ArrayD<f64>) -> f64 {
    gradient.iter().zip(direction).map(|(&g, d)| (f64::from(g) * d).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn gradients_are_those_of_the_outputs() {
    let (device, shape) = (device().autodiff(), [3, 6, 5, 12]);
    let (x, dy) = (values(&shape, 1, 0.5, 1.0), values(&shape, 2, 0.1, 1.0));
    let wide = x.mapv(f64::from);
    let mut checks = 0;
    for spec in specs(&shape) {
        for evaluates in [false, true] {
            let before = state(&spec);
            let Some(mut layer) = Layer::new(&spec, &before, &device) else { continue };
            let has_running = before.running_mean.is_some() && !matches!(spec, NormSpec::Instance(_));
            if evaluates && !has_running {
                continue;
            }
            if evaluates {
                layer.evaluate();
            }
            let found = layer.run(&x, Some(&dy), &device, FloatDType::F32);
            for (name, gradient) in &found.gradients {
                let direction = values(gradient.shape(), 7, 0.0, 1.0).mapv(f64::from);
                let along = gradient.iter().zip(&direction).map(|(&g, d)| f64::from(g) * d).sum::<f64>();
                let at = |by: f64| {
                    let mut state = before.clone();
                    let (mut x, array) = (
                        wide.clone(),
                        match *name {
                            "weight" => &mut state.weight,
                            "bias" => &mut state.bias,
                            "mean_weight" => &mut state.mean_weight,
                            "var_weight" => &mut state.var_weight,
                            _ => &mut None,
                        },
                    );
                    match array {
                        Some(array) => *array = moved(array, &direction, by),
                        None => x = moved(&x, &direction, by),
                    }
                    loss(&spec, &state, &x, &dy, evaluates, &device)
                };
                let central = |step: f64| (at(step) - at(-step)) / (2.0 * step);
                let (coarse, fine) = (central(STEP), central(STEP / 2.0));
                let difference = (4.0 * fine - coarse) / 3.0;
                // Each output is off by a few roundings of its size, in no order.
                let rounding =
                    16.0 * 2f64.powi(-24) * dy.iter().map(|&dy| f64::from(dy).powi(2)).sum::<f64>().sqrt() / STEP;
                let allowed = (fine - coarse).abs() + rounding;
                assert!(
                    allowed < 0.05 * size_of(gradient, &direction).max(1.0),
                    "{spec:?}, {name}: says nothing, {allowed}"
                );
                assert!(
                    (along - difference).abs() <= allowed,
                    "{spec:?}, {name}, evaluates {evaluates}: {along} along the gradient, {difference} found, {allowed} allowed"
                );
                checks += 1;
            }
        }
    }
    assert!(checks >= 50, "only {checks} checks ran");
}

/// burn recomputes what is before the layer; gradients are the same to the bit.
#[test]
fn gradient_checkpointing_changes_nothing() {
    let shape = [4, 6, 8, 8];
    let (x, dy) = (values(&shape, 1, 0.5, 1.0), values(&shape, 2, 0.1, 1.0));
    for spec in specs(&shape) {
        let before = state(&spec);
        let run = |device: Device| {
            let layer = Layer::new(&spec, &before, &device).expect("a module");
            let input = tensor::<4>(&x, &device).require_grad();
            // Memory-bound operations are what burn recomputes.
            let hidden = burn::tensor::activation::relu(input.clone() * 2.0 + 1.0);
            let y = burn::tensor::activation::relu(layer.forward(hidden));
            let gradients = (y.clone() * tensor(&dy, &device)).sum().backward();
            (array(y), array(input.grad(&gradients).expect("a gradient")))
        };
        let plain = run(device().autodiff());
        let checkpointed = run(device().autodiff().gradient_checkpointing());
        assert_eq!(plain, checkpointed, "{spec:?}");
    }
}

/// What is not wanted is not there, and changes nothing of the rest.
#[test]
fn only_what_is_wanted() {
    let device = device().autodiff();
    let (x, dy) = (values(&[4, 6, 9], 1, 0.5, 1.0), values(&[4, 6, 9], 2, 0.1, 1.0));
    let run = |gamma: bool, input: bool| {
        let mut norm = LayerNormConfig::new(9).init(&device);
        if !gamma {
            norm.gamma = norm.gamma.map(|gamma| gamma.freeze());
            norm.beta = norm.beta.map(|beta| beta.freeze());
        }
        let x: Tensor<3> = tensor(&x, &device);
        let x = if input { x.require_grad() } else { x };
        let gradients = (norm.forward(x.clone()) * tensor(&dy, &device)).sum().backward();
        let of_gamma = norm.gamma.as_ref().and_then(|gamma| gamma.grad(&gradients)).map(array);
        (x.grad(&gradients).map(array), of_gamma)
    };
    let (dx, dgamma) = run(true, true);
    let (dx, dgamma) = (dx.expect("the input's"), dgamma.expect("gamma's"));
    // Another backward, which may sum in another order.
    let same = |found: Option<ArrayD<f32>>, expected: &ArrayD<f32>| {
        let apart = (found.expect("a gradient") - expected).iter().fold(0.0, |most: f32, apart| most.max(apart.abs()));
        let most = expected.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
        assert!(apart <= 8.0 / (1 << 24) as f32 * most, "{apart} apart, of {most}");
    };
    let (alone, none) = run(false, true);
    assert!(none.is_none());
    same(alone, &dx);
    let (none, alone) = run(true, false);
    assert!(none.is_none());
    same(alone, &dgamma);
}

/// Nothing is tracked where nothing has a gradient, and frozen layers are evaluated.
#[test]
fn frozen_layers_use_running_statistics() {
    let device = device().autodiff();
    let norm = BatchNormConfig::new(6).init(&device).freeze();
    let x: Tensor<3> = tensor(&values(&[4, 6, 9], 1, 5.0, 2.0), &device);
    let y = norm.forward(x.clone());
    // Mean 0 and variance 1, but for epsilon.
    let difference = array(y) - array(x);
    assert!(difference.iter().all(|difference| difference.abs() < 1e-4));
    let mean = norm.running_mean.expect("a running mean").value_sync();
    assert!(array(mean).iter().all(|&mean| mean == 0.0));
}
