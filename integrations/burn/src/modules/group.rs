//! Group norm.

use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::tensor::{Device, Tensor};
use gpunorm::Mode;

use super::parameter::{affine, flat};
use crate::normalize::normalize;
use crate::parameters::Parameters;

/// How to make a [`GroupNorm`]: burn's `GroupNormConfig`.
#[derive(Debug, Config)]
pub struct GroupNormConfig {
    /// How many groups the channels are in.
    pub num_groups: usize,
    /// The channels of inputs.
    pub num_channels: usize,
    /// Added to the variance.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// Whether there are a gamma and a beta.
    #[config(default = true)]
    pub affine: bool,
}

impl GroupNormConfig {
    /// A layer with gamma 1 and beta 0.
    ///
    /// # Panics
    /// If the groups do not divide the channels.
    pub fn init(&self, device: &Device) -> GroupNorm {
        assert!(
            self.num_groups > 0 && self.num_channels.is_multiple_of(self.num_groups),
            "The number of channels must be divisible by the number of groups"
        );
        let (gamma, beta) = affine([self.num_channels], self.affine, device);
        let GroupNormConfig { num_groups, num_channels, epsilon, affine } = *self;
        GroupNorm { gamma, beta, num_groups, num_channels, epsilon, affine }
    }
}

/// Group normalization over each group of channels and all that comes after them, by sample (`torch.nn.GroupNorm`), by the biased variance.
///
/// As burn's layer; inputs of rank 2 are taken, too, as torch's layer does.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct GroupNorm {
    /// The weight, `[num_channels]`.
    pub gamma: Option<Param<Tensor<1>>>,
    /// The bias, `[num_channels]`.
    pub beta: Option<Param<Tensor<1>>>,
    /// How many groups the channels are in.
    pub num_groups: usize,
    /// The channels of inputs.
    pub num_channels: usize,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether there are a gamma and a beta.
    pub affine: bool,
}

impl GroupNorm {
    /// The normalized tensor.
    ///
    /// - input: `[batch_size, num_channels, *]`
    ///
    /// # Panics
    /// If the input has other channels, or no second dimension.
    #[track_caller]
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let spec = gpunorm::GroupNorm::new(self.num_groups, self.num_channels)
            .eps(self.epsilon as f32)
            .affine(self.gamma.is_some())
            .bias(self.beta.is_some());
        let parameters = Parameters { weight: flat(&self.gamma), bias: flat(&self.beta), ..Default::default() };
        normalize(input, &spec.into(), Mode::Evaluation, parameters).0
    }
}

impl ModuleDisplay for GroupNorm {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content
            .add("num_groups", &self.num_groups)
            .add("num_channels", &self.num_channels)
            .add("epsilon", &self.epsilon)
            .add("affine", &self.affine)
            .optional()
    }
}
