//! RMS norm.

use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::tensor::{Device, Tensor};
use gpunorm::Mode;

use super::parameter::{constant, flat};
use crate::normalize::normalize;
use crate::parameters::Parameters;

/// How to make an [`RmsNorm`]: burn's `RmsNormConfig`, and what torch's layer has besides.
#[derive(Debug, Config)]
pub struct RmsNormConfig {
    /// The size of the last dimension, which is normalized.
    pub d_model: usize,
    /// Added to the mean square. burn's 1e-5; torch's own default is 2⁻²³.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// Whether there is a gamma, torch's `elementwise_affine`: as if `true`, unless it is said.
    pub affine: Option<bool>,
    /// Dimensions before the last one that are normalized with it: see [`over`](Self::over).
    pub before: Option<Vec<usize>>,
}

impl RmsNormConfig {
    /// Of several trailing dimensions, torch's `normalized_shape`, for [`init_over`](Self::init_over).
    ///
    /// # Panics
    /// Without a dimension.
    pub fn over<const K: usize>(normalized_shape: [usize; K]) -> RmsNormConfig {
        let (last, before) = normalized_shape.split_last().expect("at least one normalized dimension");
        RmsNormConfig::new(*last).with_before(Some(before.to_vec()))
    }

    /// Without gamma.
    pub fn without_affine(self) -> RmsNormConfig {
        self.with_affine(Some(false))
    }

    /// A layer of the last dimension: gamma 1.
    ///
    /// # Panics
    /// If the config is of several dimensions, or its epsilon is not positive.
    pub fn init(&self, device: &Device) -> RmsNorm {
        self.init_over(device)
    }

    /// A layer of `K` dimensions.
    ///
    /// # Panics
    /// If the config is of another number of dimensions, or its epsilon is not positive.
    pub fn init_over<const K: usize>(&self, device: &Device) -> RmsNorm<K> {
        assert!(self.epsilon > 0.0, "epsilon must be positive.");
        let normalized = [self.before.as_deref().unwrap_or_default(), &[self.d_model]].concat();
        let shape: [usize; K] = normalized
            .try_into()
            .unwrap_or_else(|shape| panic!("an rms norm over {K} dimensions cannot be over {shape:?}: see init_over"));
        RmsNorm {
            gamma: self.affine.unwrap_or(true).then(|| constant(shape, 1.0, device)),
            epsilon: self.epsilon,
            normalized_shape: shape.to_vec(),
        }
    }
}

/// Root-mean-square normalization over the last dimension, or the last `K` ones (`torch.nn.RMSNorm`): `x / sqrt(mean(x²) + eps) * gamma`.
///
/// As burn's layer, but that gamma may be missing, which is why it is an `Option`. Of 16-bit inputs, results are rounded once, at the end.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct RmsNorm<const K: usize = 1> {
    /// The weight, of the shape that is normalized.
    pub gamma: Option<Param<Tensor<K>>>,
    /// Added to the mean square.
    pub epsilon: f64,
    normalized_shape: Vec<usize>,
}

impl<const K: usize> RmsNorm<K> {
    /// The normalized tensor.
    ///
    /// - input: `[.., d_model]`, or `[.., *normalized_shape]`
    ///
    /// # Panics
    /// If the input's last dimensions are others.
    #[track_caller]
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let spec = gpunorm::RmsNorm::new(&*self.normalized_shape).eps(self.epsilon as f32).affine(self.gamma.is_some());
        let parameters = Parameters { weight: flat(&self.gamma), ..Default::default() };
        normalize(x, &spec.into(), Mode::Evaluation, parameters).0
    }
}

impl<const K: usize> ModuleDisplay for RmsNorm<K> {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let content = match &self.normalized_shape[..] {
            [d_model] => content.add("d_model", d_model),
            shape => content.add_debug_attribute("normalized_shape", &shape),
        };
        content.add("epsilon", &self.epsilon).optional()
    }
}
