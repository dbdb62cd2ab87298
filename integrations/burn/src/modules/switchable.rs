//! Switchable norm.

use burn::config::Config;
use burn::module::{Content, DisplaySettings, Flag, Module, ModuleDisplay, Param, RunningState};
use burn::tensor::{Device, Tensor};
use gpunorm::Mode;

use super::parameter::{affine, constant, flat};
use super::running::{Tracked, initial};
use crate::normalize::normalize;
use crate::parameters::Parameters;

/// Of instance, layer and batch statistics.
const MIXED: usize = 3;

/// How to make a [`SwitchableNorm`].
#[derive(Debug, Config)]
pub struct SwitchableNormConfig {
    /// The channels of inputs.
    pub num_features: usize,
    /// Added to the mixed variance.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// The share of the newest batch in the running statistics, torch's convention; the authors' code means by momentum one minus this.
    #[config(default = 0.1)]
    pub momentum: f64,
    /// Whether there are a weight and a bias.
    #[config(default = true)]
    pub affine: bool,
}

impl SwitchableNormConfig {
    /// A layer with weight 1 and bias 0, equal shares, running mean 0 and variance 1.
    ///
    /// # Panics
    /// Without features, or if epsilon is not finite and positive or momentum not within [0, 1].
    pub fn init(&self, device: &Device) -> SwitchableNorm {
        assert!(self.num_features > 0, "num_features must be greater than zero.");
        assert!(self.epsilon.is_finite() && self.epsilon > 0.0, "epsilon must be finite and positive.");
        assert!(
            self.momentum.is_finite() && (0.0..=1.0).contains(&self.momentum),
            "momentum must be finite and within [0, 1]."
        );
        let (weight, bias) = affine([self.num_features], self.affine, device);
        let (running_mean, running_var) = initial(true, self.num_features, device);
        SwitchableNorm {
            weight,
            bias,
            mean_weight: constant([MIXED], 1.0, device),
            var_weight: constant([MIXED], 1.0, device),
            training: Param::from_bool(true),
            running_mean,
            running_var,
            num_features: self.num_features,
            momentum: self.momentum,
            epsilon: self.epsilon,
        }
    }
}

/// Switchable normalization (Luo, Ren, Peng, Zhang & Li 2019, arXiv:1806.10779): by a learned mixture of the instance, layer (over channels
/// and all that comes after them) and batch statistics, `weight * (x - Σ w_k·mean_k) / sqrt(Σ w'_k·var_k + eps) + bias`, where `w` and `w'` are
/// the softmax of `mean_weight` and of `var_weight`.
///
/// burn has no such layer; fields are called as `torch.nn` would call them. As [`BatchNorm`](crate::BatchNorm) it trains on autodiff devices,
/// unless it is frozen, and evaluates with the running statistics for the batch's on others. Running variances follow the biased
/// variance, as those of the authors' code do.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct SwitchableNorm {
    /// `[num_features]`.
    pub weight: Option<Param<Tensor<1>>>,
    /// `[num_features]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// The logits of the means' shares, `[3]`: instance, layer, batch.
    pub mean_weight: Param<Tensor<1>>,
    /// The logits of the variances' shares, `[3]`.
    pub var_weight: Param<Tensor<1>>,
    /// Off where the layer is frozen: it evaluates on autodiff devices, too.
    pub training: Param<Flag>,
    /// The running mean, `[num_features]`.
    pub running_mean: Option<RunningState<Tensor<1>>>,
    /// The running variance, `[num_features]`.
    pub running_var: Option<RunningState<Tensor<1>>>,
    num_features: usize,
    /// The share of the newest batch in the running statistics.
    pub momentum: f64,
    /// Added to the mixed variance.
    pub epsilon: f64,
}

impl SwitchableNorm {
    /// The normalized tensor. In training the running statistics move.
    ///
    /// - input: `[batch_size, num_features, *]`
    ///
    /// # Panics
    /// If the input has other channels, or no second dimension.
    #[track_caller]
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let device = input.device();
        let trains = device.is_autodiff() && self.training.is_enabled();
        let mode = if trains { Mode::Training } else { Mode::Evaluation };
        let tracked = Tracked { mean: &self.running_mean, var: &self.running_var, batches: &None };
        let running = tracked.values(mode, &device);
        let spec = gpunorm::SwitchableNorm::new(self.num_features)
            .eps(self.epsilon as f32)
            .momentum(self.momentum as f32)
            .affine(self.weight.is_some())
            .bias(self.bias.is_some());
        let parameters = Parameters {
            weight: flat(&self.weight),
            bias: flat(&self.bias),
            mean_weight: Some(self.mean_weight.val()),
            var_weight: Some(self.var_weight.val()),
            running: running.clone(),
        };
        let (output, moved) = normalize(input, &spec.into(), mode, parameters);
        tracked.follow(running, moved);
        output
    }
}

impl ModuleDisplay for SwitchableNorm {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let content = content
            .add("num_features", &self.num_features)
            .add("momentum", &self.momentum)
            .add("epsilon", &self.epsilon);
        match self.training.is_enabled() {
            true => content.optional(),
            false => content.add("training", &self.training).optional(),
        }
    }
}
