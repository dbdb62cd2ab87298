//! Any of the modules, made after a spec of gpunorm's, whose oracle has no modules.

use burn::module::{Param, RunningState};
use burn::tensor::{Device, FloatDType, Gradients, Tensor};
use gpunorm::ndarray::ArrayD;
use gpunorm::reference::State;
use gpunorm::{Mode, Momentum, NormSpec, Variance, Weighting};
use gpunorm_burn::*;

use crate::values::{array, tensor, tensor_as};

pub enum Layer {
    Layer1(LayerNorm),
    Layer2(LayerNorm<2>),
    Layer3(LayerNorm<3>),
    Rms1(RmsNorm),
    Rms2(RmsNorm<2>),
    Rms3(RmsNorm<3>),
    Group(GroupNorm),
    Instance(InstanceNorm),
    Batch(BatchNorm),
    Switchable(SwitchableNorm),
}

/// What a run gives.
pub struct Found {
    pub output: ArrayD<f32>,
    /// By name, where a gradient of the output was given.
    pub gradients: Vec<(&'static str, ArrayD<f32>)>,
    /// Mean and variance afterwards.
    pub running: Option<[ArrayD<f32>; 2]>,
}

fn param<const D: usize>(values: &Option<ArrayD<f64>>, device: &Device) -> Option<Param<Tensor<D>>> {
    values.as_ref().map(|values| Param::from_tensor(tensor(&values.mapv(|value| value as f32), device)))
}

fn state(values: &Option<ArrayD<f64>>, device: &Device) -> Option<RunningState<Tensor<1>>> {
    values.as_ref().map(|values| RunningState::new(tensor(&values.mapv(|value| value as f32), device)))
}

macro_rules! over {
    ($config:expr, $state:expr, $device:expr, $K:literal $(, $beta:ident)?) => {{
        let mut norm = $config.init_over::<$K>($device);
        norm.gamma = param(&$state.weight, $device);
        $(norm.$beta = param(&$state.bias, $device);)?
        norm
    }};
}

impl Layer {
    /// The layer of this spec in this state, if it is one that modules have.
    pub fn new(spec: &NormSpec, from: &State, device: &Device) -> Option<Layer> {
        let (eps, shape) = (f64::from(spec.eps()), spec.parameter_shape());
        let momentum = match spec.momentum() {
            Some(Momentum::Fixed(momentum)) => Some(f64::from(momentum)),
            _ => None,
        };
        let both_or_none = spec.has_weight() == spec.has_bias();
        if spec.channels_last() || spec.channels_first() {
            return None;
        }
        let (last, before) = shape.split_last()?;
        Some(match spec {
            NormSpec::Layer(_) => {
                let config = LayerNormConfig::new(*last)
                    .with_epsilon(eps)
                    .with_bias(spec.has_bias())
                    .with_affine(Some(spec.has_weight()))
                    .with_before(Some(before.to_vec()));
                match shape.len() {
                    1 => Layer::Layer1(over!(config, from, device, 1, beta)),
                    2 => Layer::Layer2(over!(config, from, device, 2, beta)),
                    3 => Layer::Layer3(over!(config, from, device, 3, beta)),
                    _ => return None,
                }
            }
            NormSpec::Rms(_) => {
                let config = RmsNormConfig::new(*last)
                    .with_epsilon(eps)
                    .with_affine(Some(spec.has_weight()))
                    .with_before(Some(before.to_vec()));
                match shape.len() {
                    1 => Layer::Rms1(over!(config, from, device, 1)),
                    2 => Layer::Rms2(over!(config, from, device, 2)),
                    3 => Layer::Rms3(over!(config, from, device, 3)),
                    _ => return None,
                }
            }
            NormSpec::Group(_) if both_or_none => {
                let config = GroupNormConfig::new(spec.num_groups()?, *last).with_epsilon(eps);
                let mut norm = config.with_affine(spec.has_weight()).init(device);
                (norm.gamma, norm.beta) = (param(&from.weight, device), param(&from.bias, device));
                Layer::Group(norm)
            }
            NormSpec::Instance(_) if both_or_none && spec.momentum() != Some(Momentum::Cumulative) => {
                let config = InstanceNormConfig::new(*last).with_epsilon(eps).with_affine(spec.has_weight());
                let mut norm = config.with_momentum(momentum).init(device);
                (norm.gamma, norm.beta) = (param(&from.weight, device), param(&from.bias, device));
                norm.running_mean = state(&from.running_mean, device);
                norm.running_var = state(&from.running_var, device);
                Layer::Instance(norm)
            }
            NormSpec::Batch(_) if both_or_none => {
                let config = BatchNormConfig::new(*last)
                    .with_epsilon(eps)
                    .with_momentum(momentum.unwrap_or(0.1))
                    .with_affine(Some(spec.has_weight()))
                    .with_track_running_stats(Some(spec.has_running_stats()))
                    .with_cumulative_average(Some(spec.momentum() == Some(Momentum::Cumulative)));
                let mut norm = config.init(device);
                (norm.gamma, norm.beta) = (param(&from.weight, device), param(&from.bias, device));
                norm.running_mean = state(&from.running_mean, device);
                norm.running_var = state(&from.running_var, device);
                if norm.num_batches_tracked.is_some() {
                    let count = from.num_batches_tracked.unwrap_or(0) as f32;
                    norm.num_batches_tracked = Some(RunningState::new(Tensor::from_floats([count], device)));
                }
                Layer::Batch(norm)
            }
            NormSpec::Switchable(_)
                if both_or_none
                    && spec.weighting() == Some(Weighting::Softmax)
                    && spec.variance() == Some(Variance::Biased)
                    && from.mean_weight.as_ref().is_some_and(|logits| logits.len() == 3) =>
            {
                let config = SwitchableNormConfig::new(*last).with_epsilon(eps).with_momentum(momentum?);
                let mut norm = config.with_affine(spec.has_weight()).init(device);
                (norm.weight, norm.bias) = (param(&from.weight, device), param(&from.bias, device));
                (norm.mean_weight, norm.var_weight) =
                    (param(&from.mean_weight, device)?, param(&from.var_weight, device)?);
                norm.running_mean = state(&from.running_mean, device);
                norm.running_var = state(&from.running_var, device);
                Layer::Switchable(norm)
            }
            _ => return None,
        })
    }

    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Layer::Layer1(norm) => norm.forward(x),
            Layer::Layer2(norm) => norm.forward(x),
            Layer::Layer3(norm) => norm.forward(x),
            Layer::Rms1(norm) => norm.forward(x),
            Layer::Rms2(norm) => norm.forward(x),
            Layer::Rms3(norm) => norm.forward(x),
            Layer::Group(norm) => norm.forward(x),
            Layer::Instance(norm) => norm.forward(x),
            Layer::Batch(norm) => norm.forward(x),
            Layer::Switchable(norm) => norm.forward(x),
        }
    }

    /// As if frozen, but that parameters have gradients.
    pub fn evaluate(&mut self) {
        match self {
            Layer::Batch(norm) => norm.training = Param::from_bool(false),
            Layer::Switchable(norm) => norm.training = Param::from_bool(false),
            _ => {}
        }
    }

    fn gradients(&self, all: &Gradients) -> Vec<(&'static str, ArrayD<f32>)> {
        fn of<const D: usize>(param: &Option<Param<Tensor<D>>>, all: &Gradients) -> Option<ArrayD<f32>> {
            Some(array(param.as_ref()?.grad(all)?))
        }
        let (weight, bias) = match self {
            Layer::Layer1(norm) => (of(&norm.gamma, all), of(&norm.beta, all)),
            Layer::Layer2(norm) => (of(&norm.gamma, all), of(&norm.beta, all)),
            Layer::Layer3(norm) => (of(&norm.gamma, all), of(&norm.beta, all)),
            Layer::Rms1(norm) => (of(&norm.gamma, all), None),
            Layer::Rms2(norm) => (of(&norm.gamma, all), None),
            Layer::Rms3(norm) => (of(&norm.gamma, all), None),
            Layer::Group(norm) => (of(&norm.gamma, all), of(&norm.beta, all)),
            Layer::Instance(norm) => (of(&norm.gamma, all), of(&norm.beta, all)),
            Layer::Batch(norm) => (of(&norm.gamma, all), of(&norm.beta, all)),
            Layer::Switchable(norm) => (of(&norm.weight, all), of(&norm.bias, all)),
        };
        let (mean_weight, var_weight) = match self {
            Layer::Switchable(norm) => (norm.mean_weight.grad(all).map(array), norm.var_weight.grad(all).map(array)),
            _ => (None, None),
        };
        let named = [("weight", weight), ("bias", bias), ("mean_weight", mean_weight), ("var_weight", var_weight)];
        named.into_iter().filter_map(|(name, gradient)| Some((name, gradient?))).collect()
    }

    fn running(&self) -> Option<[ArrayD<f32>; 2]> {
        let (mean, var) = match self {
            Layer::Instance(norm) => (&norm.running_mean, &norm.running_var),
            Layer::Batch(norm) => (&norm.running_mean, &norm.running_var),
            Layer::Switchable(norm) => (&norm.running_mean, &norm.running_var),
            _ => return None,
        };
        Some([array(mean.as_ref()?.value_sync()), array(var.as_ref()?.value_sync())])
    }

    fn run_of<const D: usize>(
        &self,
        x: &ArrayD<f32>,
        dy: Option<&ArrayD<f32>>,
        device: &Device,
        dtype: FloatDType,
    ) -> Found {
        let input = tensor_as::<D>(x, dtype, device);
        let input = if dy.is_some() { input.require_grad() } else { input };
        let output = self.forward(input.clone());
        assert_eq!(output.dtype(), input.dtype());
        let mut gradients = vec![];
        if let Some(dy) = dy {
            let loss = output.clone() * tensor_as::<D>(dy, dtype, device);
            let all = loss.sum().backward();
            gradients.push(("input", array(input.grad(&all).expect("the input's gradient"))));
            gradients.extend(self.gradients(&all));
        }
        Found { output: array(output), gradients, running: self.running() }
    }

    /// A forward and, with a gradient of its output, a backward.
    pub fn run(&self, x: &ArrayD<f32>, dy: Option<&ArrayD<f32>>, device: &Device, dtype: FloatDType) -> Found {
        match x.ndim() {
            1 => self.run_of::<1>(x, dy, device, dtype),
            2 => self.run_of::<2>(x, dy, device, dtype),
            3 => self.run_of::<3>(x, dy, device, dtype),
            4 => self.run_of::<4>(x, dy, device, dtype),
            5 => self.run_of::<5>(x, dy, device, dtype),
            6 => self.run_of::<6>(x, dy, device, dtype),
            rank => panic!("rank {rank}"),
        }
    }
}

/// The device that a layer is in this mode on.
pub fn device_for(mode: Mode, device: &Device) -> Device {
    if mode == Mode::Training { device.clone().autodiff() } else { device.clone() }
}
