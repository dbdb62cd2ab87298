//! Batch norm.

use burn::config::Config;
use burn::module::{Content, DisplaySettings, Flag, Module, ModuleDisplay, Param, RunningState};
use burn::tensor::{Device, Tensor};
use gpunorm::Mode;

use super::parameter::{affine, flat};
use super::running::{Tracked, initial};
use crate::normalize::normalize;
use crate::parameters::Parameters;

/// How to make a [`BatchNorm`]: burn's `BatchNormConfig`, and what torch's layer has besides.
#[derive(Debug, Config)]
pub struct BatchNormConfig {
    /// The channels of inputs.
    pub num_features: usize,
    /// Added to the variance.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// The share of the newest batch in the running statistics.
    #[config(default = 0.1)]
    pub momentum: f64,
    /// Whether there are a gamma and a beta: as if `true`, unless it is said.
    pub affine: Option<bool>,
    /// Whether there are running statistics, without which evaluation uses the batch's, too: as if `true`, unless it is said.
    pub track_running_stats: Option<bool>,
    /// Whether the running statistics are the plain average over all batches, torch's `momentum=None`: as if `false`, unless it is said.
    pub cumulative_average: Option<bool>,
}

impl BatchNormConfig {
    /// Without gamma and beta.
    pub fn without_affine(self) -> BatchNormConfig {
        self.with_affine(Some(false))
    }

    /// Without running statistics.
    pub fn without_running_stats(self) -> BatchNormConfig {
        self.with_track_running_stats(Some(false))
    }

    /// With running statistics that are the plain average over all batches.
    pub fn averaging(self) -> BatchNormConfig {
        self.with_cumulative_average(Some(true))
    }

    /// A layer with gamma 1 and beta 0, running mean 0 and variance 1.
    ///
    /// # Panics
    /// Without features, or if epsilon is not finite and positive or momentum not within [0, 1].
    pub fn init(&self, device: &Device) -> BatchNorm {
        assert!(self.num_features > 0, "num_features must be greater than zero.");
        assert!(self.epsilon.is_finite() && self.epsilon > 0.0, "epsilon must be finite and positive.");
        assert!(
            self.momentum.is_finite() && (0.0..=1.0).contains(&self.momentum),
            "momentum must be finite and within [0, 1]."
        );
        let (gamma, beta) = affine([self.num_features], self.affine.unwrap_or(true), device);
        let tracked = self.track_running_stats.unwrap_or(true);
        let (running_mean, running_var) = initial(tracked, self.num_features, device);
        let averages = tracked && self.cumulative_average.unwrap_or(false);
        BatchNorm {
            gamma,
            beta,
            training: Param::from_bool(true),
            running_mean,
            running_var,
            num_batches_tracked: averages.then(|| RunningState::new(Tensor::zeros([1], device))),
            num_features: self.num_features,
            momentum: self.momentum,
            epsilon: self.epsilon,
        }
    }
}

/// Batch normalization of each channel over the batch and all that comes after the channels (`torch.nn.BatchNorm1d`, `2d`, `3d`), by the
/// biased variance.
///
/// As burn's layer, it trains on autodiff devices, unless it is frozen, and evaluates by the running statistics on others. Where burn's
/// differ, it follows torch: the running variance follows the unbiased variance of the batch (burn's: the biased one), and a training batch of
/// one value for each channel is refused. Gamma, beta and the running statistics may be missing, which is why they are `Option`s.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct BatchNorm {
    /// The weight, `[num_features]`.
    pub gamma: Option<Param<Tensor<1>>>,
    /// The bias, `[num_features]`.
    pub beta: Option<Param<Tensor<1>>>,
    /// Off where the layer is frozen: it evaluates on autodiff devices, too.
    pub training: Param<Flag>,
    /// The running mean, `[num_features]`.
    pub running_mean: Option<RunningState<Tensor<1>>>,
    /// The running variance, `[num_features]`.
    pub running_var: Option<RunningState<Tensor<1>>>,
    /// Batches so far, `[1]`, where the running statistics are their average.
    pub num_batches_tracked: Option<RunningState<Tensor<1>>>,
    /// The channels of inputs.
    num_features: usize,
    /// The share of the newest batch in the running statistics.
    pub momentum: f64,
    /// Added to the variance.
    pub epsilon: f64,
}

impl BatchNorm {
    /// The normalized tensor. In training the running statistics move.
    ///
    /// - input: `[batch_size, num_features, *]`
    ///
    /// # Panics
    /// If the input has other channels, or no second dimension; in training, if a channel has one value.
    #[track_caller]
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let device = input.device();
        let trains = device.is_autodiff() && self.training.is_enabled();
        let mode = if trains { Mode::Training } else { Mode::Evaluation };
        let tracked = Tracked { mean: &self.running_mean, var: &self.running_var, batches: &self.num_batches_tracked };
        let running = tracked.values(mode, &device);
        // Of an average, the batch's own are asked for.
        let momentum = if self.num_batches_tracked.is_some() { 1.0 } else { self.momentum };
        let spec = gpunorm::BatchNorm::new(self.num_features)
            .eps(self.epsilon as f32)
            .momentum(momentum as f32)
            .affine(self.gamma.is_some())
            .bias(self.beta.is_some())
            .track_running_stats(running.is_some());
        let (weight, bias) = (flat(&self.gamma), flat(&self.beta));
        let parameters = Parameters { weight, bias, running: running.clone(), ..Default::default() };
        let (output, moved) = normalize(input, &spec.into(), mode, parameters);
        tracked.follow(running, moved);
        output
    }
}

impl ModuleDisplay for BatchNorm {
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
