//! The norms in burn's own operations, for devices that take no WGSL. Sums are taken in f32, whatever the input is, and means are taken
//! off before anything is squared.

use burn::tensor::activation::softmax;
use burn::tensor::{DType, FloatDType, Tensor};
use gpunorm::NormSpec;
use gpunorm::unstable::{Geometry, Source};

use crate::parameters::{Parameters, Running};

/// A mean and a biased variance, to be broadcast to `[samples, channels, spatial]`.
type Statistics = (Tensor<3>, Tensor<3>);

/// As the kernels do: the output, and the running statistics where they move.
pub fn normalize<const D: usize>(
    input: Tensor<D>,
    spec: &NormSpec,
    geometry: &Geometry,
    parameters: Parameters,
) -> (Tensor<D>, Option<Running>) {
    let (shape, stored) = (input.shape(), FloatDType::from(input.dtype()));
    let Geometry { samples, channels, spatial, .. } = *geometry;
    let x = wide(input).reshape([samples, channels, spatial]);
    let running = parameters.running.filter(|_| geometry.updates || geometry.source == Source::Running);
    let running = running.map(|running| Running { mean: wide(running.mean), var: wide(running.var) });

    let batch = || match &running {
        Some(running) if geometry.source == Source::Running => {
            (running.mean.clone().reshape([1, channels, 1]), running.var.clone().reshape([1, channels, 1]))
        }
        _ => moments(&x, &[0, 2]),
    };
    let mut batch_used = None;
    let (mean, var) = match spec {
        NormSpec::Rms(_) => (None, x.clone().square().mean_dim(2)),
        NormSpec::Layer(_) => centred(moments(&x, &[2])),
        NormSpec::Instance(_) if geometry.source == Source::Running => centred(batch()),
        NormSpec::Instance(_) => centred(moments(&x, &[2])),
        NormSpec::Group(_) => {
            let groups = spec.num_groups().unwrap_or(1);
            let grouped = x.clone().reshape([samples, groups, channels / groups * spatial]);
            centred(spread(moments(&grouped, &[2]), channels / groups))
        }
        NormSpec::Switchable(_) => {
            let used = batch();
            batch_used = Some(used.clone());
            let all = [moments(&x, &[2]), moments(&x, &[1, 2]), used];
            centred(mixed(all, parameters.mean_weight, parameters.var_weight))
        }
        _ => {
            let used = batch();
            batch_used = Some(used.clone());
            centred(used)
        }
    };
    let moved = running.filter(|_| geometry.updates).map(|running| {
        let (mean, var) = match (spec, batch_used) {
            // Over the samples, of each channel's instances.
            (NormSpec::Instance(_), _) | (_, None) => {
                let (mean, var) = moments(&x, &[2]);
                (mean.mean_dim(0), var.mean_dim(0))
            }
            (_, Some(used)) => used,
        };
        let unbiased = match spec {
            // As its authors have it.
            NormSpec::Switchable(_) => 1.0,
            _ => geometry.row_len as f64 / (geometry.row_len as f64 - 1.0),
        };
        follow(spec, running, mean, var.mul_scalar(unbiased))
    });

    let centred = match mean {
        Some(mean) => x - mean,
        None => x,
    };
    let mut y = centred / (var + f64::from(spec.eps())).sqrt();
    let by_position = matches!(spec, NormSpec::Layer(_) | NormSpec::Rms(_));
    let parameter =
        |array: Tensor<1>| wide(array).reshape(if by_position { [1, 1, spatial] } else { [1, channels, 1] });
    if let Some(weight) = parameters.weight {
        y = y * parameter(weight);
    }
    if let Some(bias) = parameters.bias {
        y = y + parameter(bias);
    }
    let y = y.reshape(shape);
    (if stored == FloatDType::from(y.dtype()) { y } else { y.cast(stored) }, moved)
}

/// f16 and bf16 in f32.
fn wide<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    match tensor.dtype() {
        DType::F16 | DType::BF16 => tensor.cast(FloatDType::F32),
        _ => tensor,
    }
}

fn centred((mean, var): Statistics) -> (Option<Tensor<3>>, Tensor<3>) {
    (Some(mean), var)
}

fn moments(x: &Tensor<3>, dimensions: &[usize]) -> Statistics {
    let average = |x: Tensor<3>| dimensions.iter().fold(x, |x, &dimension| x.mean_dim(dimension));
    let mean = average(x.clone());
    (mean.clone(), average((x.clone() - mean).square()))
}

/// A group's statistics for each of so many channels.
fn spread((mean, var): Statistics, channels: usize) -> Statistics {
    let spread = |of: Tensor<3>| {
        let [samples, groups, _] = of.dims();
        of.expand([samples, groups, channels]).reshape([samples, groups * channels, 1])
    };
    (spread(mean), spread(var))
}

/// Instance, layer and batch statistics by their shares.
fn mixed(all: [Statistics; 3], mean_weight: Option<Tensor<1>>, var_weight: Option<Tensor<1>>) -> Statistics {
    let shares = |logits: Option<Tensor<1>>| {
        let shares = logits.map(|logits| softmax(wide(logits), 0));
        move |index: usize, of: Tensor<3>| match &shares {
            Some(shares) => of * shares.clone().narrow(0, index, 1).reshape([1, 1, 1]),
            None => of / 3.0,
        }
    };
    let (of_mean, of_var) = (shares(mean_weight), shares(var_weight));
    let [instance, layer, batch] = all;
    let mean = of_mean(0, instance.0) + of_mean(1, layer.0) + of_mean(2, batch.0);
    (mean, of_var(0, instance.1) + of_var(1, layer.1) + of_var(2, batch.1))
}

/// The running statistics after a batch with these.
fn follow(spec: &NormSpec, running: Running, mean: Tensor<3>, var: Tensor<3>) -> Running {
    let factor = match spec.momentum() {
        Some(gpunorm::Momentum::Fixed(momentum)) => f64::from(momentum),
        _ => 0.0,
    };
    let follow = |old: Tensor<1>, new: Tensor<3>| {
        let [channels] = old.dims();
        let stored = FloatDType::from(old.dtype());
        let moved = old.mul_scalar(1.0 - factor) + new.detach().reshape([channels]).mul_scalar(factor);
        moved.cast(stored)
    };
    Running { mean: follow(running.mean, mean), var: follow(running.var, var) }
}
