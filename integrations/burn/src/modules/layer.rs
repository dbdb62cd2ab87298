//! Layer norm.

use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::tensor::{Device, Tensor};
use gpunorm::Mode;

use super::parameter::{constant, flat};
use crate::normalize::normalize;
use crate::parameters::Parameters;

/// How to make a [`LayerNorm`]: burn's `LayerNormConfig`, and what torch's layer has besides.
#[derive(Debug, Config)]
pub struct LayerNormConfig {
    /// The size of the last dimension, which is normalized.
    pub d_model: usize,
    /// Added to the variance.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// Whether there is a beta.
    #[config(default = true)]
    pub bias: bool,
    /// Whether there are parameters at all, torch's `elementwise_affine`: as if `true`, unless it is said.
    pub affine: Option<bool>,
    /// Dimensions before the last one that are normalized with it: see [`over`](Self::over).
    pub before: Option<Vec<usize>>,
}

impl LayerNormConfig {
    /// Of several trailing dimensions, torch's `normalized_shape`, for [`init_over`](Self::init_over).
    ///
    /// # Panics
    /// Without a dimension.
    pub fn over<const K: usize>(normalized_shape: [usize; K]) -> LayerNormConfig {
        let (last, before) = normalized_shape.split_last().expect("at least one normalized dimension");
        LayerNormConfig::new(*last).with_before(Some(before.to_vec()))
    }

    /// Without gamma and beta.
    pub fn without_affine(self) -> LayerNormConfig {
        self.with_affine(Some(false))
    }

    /// A layer of the last dimension: gamma 1, beta 0.
    ///
    /// # Panics
    /// If the config is of several dimensions.
    pub fn init(&self, device: &Device) -> LayerNorm {
        self.init_over(device)
    }

    /// A layer of `K` dimensions.
    ///
    /// # Panics
    /// If the config is of another number of dimensions.
    pub fn init_over<const K: usize>(&self, device: &Device) -> LayerNorm<K> {
        let normalized = [self.before.as_deref().unwrap_or_default(), &[self.d_model]].concat();
        let shape: [usize; K] = normalized
            .try_into()
            .unwrap_or_else(|shape| panic!("a layer norm over {K} dimensions cannot be over {shape:?}: see init_over"));
        let affine = self.affine.unwrap_or(true);
        LayerNorm {
            gamma: affine.then(|| constant(shape, 1.0, device)),
            beta: (affine && self.bias).then(|| constant(shape, 0.0, device)),
            epsilon: self.epsilon,
            normalized_shape: shape.to_vec(),
        }
    }
}

/// Layer normalization over the last dimension, or the last `K` ones (`torch.nn.LayerNorm`): `(x - mean) / sqrt(var + eps) * gamma + beta`,
/// by the biased variance.
///
/// As burn's layer, but that gamma may be missing, which is why it is an `Option`.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct LayerNorm<const K: usize = 1> {
    /// The weight, of the shape that is normalized.
    pub gamma: Option<Param<Tensor<K>>>,
    /// The bias, of that shape.
    pub beta: Option<Param<Tensor<K>>>,
    epsilon: f64,
    normalized_shape: Vec<usize>,
}

impl<const K: usize> LayerNorm<K> {
    /// The normalized tensor.
    ///
    /// - input: `[.., d_model]`, or `[.., *normalized_shape]`
    ///
    /// # Panics
    /// If the input's last dimensions are others.
    #[track_caller]
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let spec = gpunorm::LayerNorm::new(&*self.normalized_shape)
            .eps(self.epsilon as f32)
            .affine(self.gamma.is_some())
            .bias(self.beta.is_some());
        let parameters = Parameters { weight: flat(&self.gamma), bias: flat(&self.beta), ..Default::default() };
        normalize(input, &spec.into(), Mode::Evaluation, parameters).0
    }
}

impl<const K: usize> ModuleDisplay for LayerNorm<K> {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let content = match &self.normalized_shape[..] {
            [d_model] => content.add("d_model", d_model),
            shape => content.add_debug_attribute("normalized_shape", &shape),
        };
        content.add("epsilon", &self.epsilon).add("bias", &self.beta.is_some()).optional()
    }
}
