//! Instance norm.

use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param, RunningState};
use burn::tensor::{Device, Tensor};
use gpunorm::Mode;

use super::parameter::{affine, flat};
use super::running::{Tracked, initial};
use crate::normalize::normalize;
use crate::parameters::Parameters;

/// How to make an [`InstanceNorm`]: burn's `InstanceNormConfig`, and what torch's layer has besides.
#[derive(Debug, Config)]
pub struct InstanceNormConfig {
    /// The channels of inputs.
    pub num_channels: usize,
    /// Added to the variance.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// Whether there are a gamma and a beta. burn's `true`; torch's own default is `false`.
    #[config(default = true)]
    pub affine: bool,
    /// The share of the newest batch in the running statistics; there are some where this is said.
    pub momentum: Option<f64>,
}

impl InstanceNormConfig {
    /// A layer with gamma 1 and beta 0.
    ///
    /// # Panics
    /// Without channels.
    pub fn init(&self, device: &Device) -> InstanceNorm {
        assert!(self.num_channels > 0, "num_channels must be greater than zero.");
        let (gamma, beta) = affine([self.num_channels], self.affine, device);
        let (running_mean, running_var) = initial(self.momentum.is_some(), self.num_channels, device);
        let InstanceNormConfig { num_channels, epsilon, affine, momentum } = *self;
        InstanceNorm { gamma, beta, running_mean, running_var, num_channels, epsilon, affine, momentum }
    }
}

/// Instance normalization over all that comes after the channels, by sample and channel (`torch.nn.InstanceNorm1d`, `2d`, `3d`), by the
/// biased variance.
///
/// As burn's layer. It has torch's running statistics where the config says a momentum: they move on autodiff devices, by the unbiased
/// variance, and take the input's place on others.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct InstanceNorm {
    /// The weight, `[num_channels]`.
    pub gamma: Option<Param<Tensor<1>>>,
    /// The bias, `[num_channels]`.
    pub beta: Option<Param<Tensor<1>>>,
    /// The running mean, `[num_channels]`.
    pub running_mean: Option<RunningState<Tensor<1>>>,
    /// The running variance, `[num_channels]`.
    pub running_var: Option<RunningState<Tensor<1>>>,
    /// The channels of inputs.
    pub num_channels: usize,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether there are a gamma and a beta.
    pub affine: bool,
    /// The share of the newest batch in the running statistics.
    pub momentum: Option<f64>,
}

impl InstanceNorm {
    /// The normalized tensor.
    ///
    /// - input: `[batch_size, num_channels, *]`
    ///
    /// # Panics
    /// If the input has other channels or no third dimension; in training, if an instance has one value.
    #[track_caller]
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        assert!(D > 2, "instance norm takes inputs [batch_size, num_channels, *] of rank 3 and above, got rank {D}");
        let device = input.device();
        let mode = if device.is_autodiff() { Mode::Training } else { Mode::Evaluation };
        let tracked = Tracked { mean: &self.running_mean, var: &self.running_var, batches: &None };
        let running = tracked.values(mode, &device);
        let spec = gpunorm::InstanceNorm::new(self.num_channels)
            .eps(self.epsilon as f32)
            .affine(self.gamma.is_some())
            .bias(self.beta.is_some())
            .momentum(self.momentum.unwrap_or(0.1) as f32)
            .track_running_stats(running.is_some());
        let (weight, bias) = (flat(&self.gamma), flat(&self.beta));
        let parameters = Parameters { weight, bias, running: running.clone(), ..Default::default() };
        let (output, moved) = normalize(input, &spec.into(), mode, parameters);
        tracked.follow(running, moved);
        output
    }
}

impl ModuleDisplay for InstanceNorm {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let content =
            content.add("num_channels", &self.num_channels).add("epsilon", &self.epsilon).add("affine", &self.affine);
        match self.momentum {
            Some(momentum) => content.add("momentum", &momentum).optional(),
            None => content.optional(),
        }
    }
}
