//! The norms of trailing dimensions: layer and RMS normalization.

use super::activation::Activation;
use super::options::Affine;

/// The sizes of the trailing dimensions that a norm is over: `768`, `[64, 64]` or a `Vec` of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalizedShape(Vec<usize>);

impl From<usize> for NormalizedShape {
    fn from(size: usize) -> NormalizedShape {
        NormalizedShape(vec![size])
    }
}

impl From<Vec<usize>> for NormalizedShape {
    fn from(sizes: Vec<usize>) -> NormalizedShape {
        NormalizedShape(sizes)
    }
}

impl From<&[usize]> for NormalizedShape {
    fn from(sizes: &[usize]) -> NormalizedShape {
        NormalizedShape(sizes.to_vec())
    }
}

impl<const N: usize> From<[usize; N]> for NormalizedShape {
    fn from(sizes: [usize; N]) -> NormalizedShape {
        NormalizedShape(sizes.to_vec())
    }
}

/// Layer normalization over the trailing dimensions `normalized_shape`, of inputs `[*, normalized_shape]`, or over the channels of
/// `[N, C, *]` by [`channels_first`](Self::channels_first) (`torch.nn.LayerNorm`; Ba, Kiros & Hinton 2016, arXiv:1607.06450).
///
/// State: `weight`, `bias` of shape `normalized_shape`.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a spec does nothing before a layer is made of it"]
pub struct LayerNorm {
    pub(crate) normalized_shape: Vec<usize>,
    pub(crate) eps: f32,
    pub(crate) affine: Affine,
    pub(crate) activation: Activation,
    pub(crate) channels_first: bool,
}

impl LayerNorm {
    /// eps 1e-5, elementwise affine with bias.
    pub fn new(normalized_shape: impl Into<NormalizedShape>) -> Self {
        let (affine, activation, channels_first) = (Affine::BOTH, Activation::Identity, false);
        LayerNorm { normalized_shape: normalized_shape.into().0, eps: 1e-5, affine, activation, channels_first }
    }

    /// Added to the variance.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// torch's `elementwise_affine`: whether there are a weight and a bias.
    pub fn affine(mut self, elementwise_affine: bool) -> Self {
        self.affine.affine = elementwise_affine;
        self
    }

    /// Whether an affine layer has a bias.
    pub fn bias(mut self, bias: bool) -> Self {
        self.affine.bias = bias;
        self
    }

    /// Inputs are `[N, C, *]`, and each place is normalized over its C channels, which `normalized_shape` is one dimension
    /// of: ConvNeXt's `data_format="channels_first"` (Liu et al. 2022, arXiv:2201.03545), SAM's `LayerNorm2d`.
    pub fn channels_first(mut self) -> Self {
        self.channels_first = true;
        self
    }
}

/// Root-mean-square normalization, `x / sqrt(mean(x²) + eps) · weight`, over the trailing dimensions
/// `normalized_shape`, or over the channels of `[N, C, *]` by [`channels_first`](Self::channels_first) (`torch.nn.RMSNorm`; Zhang & Sennrich 2019, arXiv:1910.07467).
///
/// State: `weight` of shape `normalized_shape`.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a spec does nothing before a layer is made of it"]
pub struct RmsNorm {
    pub(crate) normalized_shape: Vec<usize>,
    pub(crate) eps: f32,
    pub(crate) affine: bool,
    pub(crate) activation: Activation,
    pub(crate) channels_first: bool,
}

impl RmsNorm {
    /// torch's `eps=None`, which is f32's machine epsilon 2⁻²³, and a weight.
    pub fn new(normalized_shape: impl Into<NormalizedShape>) -> Self {
        let (normalized_shape, activation) = (normalized_shape.into().0, Activation::Identity);
        RmsNorm { normalized_shape, eps: f32::EPSILON, affine: true, activation, channels_first: false }
    }

    /// Added to the mean square.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// torch's `elementwise_affine`: whether there is a weight.
    pub fn affine(mut self, elementwise_affine: bool) -> Self {
        self.affine = elementwise_affine;
        self
    }

    /// Inputs are `[N, C, *]`, and each place is normalized over its C channels, which `normalized_shape` is one dimension
    /// of.
    pub fn channels_first(mut self) -> Self {
        self.channels_first = true;
        self
    }
}
