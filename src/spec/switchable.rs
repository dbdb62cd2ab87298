//! Switchable normalization, whose options are its own.

use super::activation::Activation;
use super::options::{Affine, Momentum};

/// How switchable norm turns `mean_weight` and `var_weight` into the shares of its statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Weighting {
    /// `softmax` of each vector of logits, as in the paper. They start at 1: equal shares.
    #[default]
    Softmax,
    /// The vectors as they are, which need not sum to 1, as in the plain numpy form. They start at equal shares.
    Plain,
}

/// Which variance estimators switchable norm mixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Variance {
    /// Biased ones, `Σ(x − mean)² / M`, as in the paper.
    #[default]
    Biased,
    /// Those of the authors' code, for its checkpoints: the instance variance unbiased and the others derived from it,
    /// `v_ln = mean_c(v_in) + mean_c((μ_in − μ_ln)²)`, likewise `v_bn`; in the rank-2 form without instance statistics
    /// both unbiased.
    Reference,
}

/// Switchable normalization of inputs `[N, C, *]` of rank 2 and above, or `[N, *, C]` by [`channels_last`](Self::channels_last): a learned mixture of the instance, layer (over
/// `C` and all spatial dimensions) and batch statistics (Luo, Ren, Peng, Zhang & Li 2019, arXiv:1806.10779).
///
/// `y = weight·(x − Σ w_k·μ_k) / sqrt(Σ w'_k·v_k + eps) + bias`, `k` over (instance, layer, batch), those that are on.
///
/// State: `weight`, `bias` of shape `[C]`, `mean_weight`, `var_weight` of shape `[k]`, and where batch statistics are
/// on `running_mean`, `running_var` of shape `[C]` and `num_batches_tracked`. The running variance is of the batch
/// statistic as it is used, without a further correction.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a spec does nothing before a layer is made of it"]
pub struct SwitchableNorm {
    pub(crate) channels: usize,
    pub(crate) eps: f32,
    pub(crate) affine: Affine,
    pub(crate) activation: Activation,
    pub(crate) momentum: Momentum,
    pub(crate) weighting: Weighting,
    pub(crate) variance: Variance,
    pub(crate) instance: bool,
    pub(crate) batch: bool,
    pub(crate) channels_last: bool,
}

impl SwitchableNorm {
    /// `num_features` channels, eps 1e-5, momentum 0.1, affine with bias, softmax weights, biased variances, all three
    /// statistics.
    pub fn new(num_features: usize) -> Self {
        SwitchableNorm {
            channels: num_features,
            eps: 1e-5,
            affine: Affine::BOTH,
            activation: Activation::Identity,
            momentum: Momentum::Fixed(0.1),
            weighting: Weighting::Softmax,
            variance: Variance::Biased,
            instance: true,
            batch: true,
            channels_last: false,
        }
    }

    /// Added to the mixed variance.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// The share of the newest batch in the running statistics, torch's convention (the authors' code means by
    /// momentum one minus this).
    pub fn momentum(mut self, momentum: f32) -> Self {
        self.momentum = Momentum::Fixed(momentum);
        self
    }

    /// The running statistics are the plain average over all batches: the paper's "batch average" inference.
    pub fn cumulative_average(mut self) -> Self {
        self.momentum = Momentum::Cumulative;
        self
    }

    /// Whether there are a weight and a bias.
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine.affine = affine;
        self
    }

    /// Whether an affine layer has a bias.
    pub fn bias(mut self, bias: bool) -> Self {
        self.affine.bias = bias;
        self
    }

    /// How the mixing weights are used.
    pub fn weighting(mut self, weighting: Weighting) -> Self {
        self.weighting = weighting;
        self
    }

    /// Which variance estimators are mixed.
    pub fn variance(mut self, variance: Variance) -> Self {
        self.variance = variance;
        self
    }

    /// Whether batch statistics take part; without them there are no running statistics either.
    pub fn batch_statistics(mut self, batch: bool) -> Self {
        self.batch = batch;
        self
    }

    /// Whether instance statistics take part; off is the authors' form for rank 2, `[N, C]`.
    pub fn instance_statistics(mut self, instance: bool) -> Self {
        self.instance = instance;
        self
    }

    /// Inputs are `[N, *, C]`.
    pub fn channels_last(mut self) -> Self {
        self.channels_last = true;
        self
    }

    /// How many statistics are mixed: the length of `mean_weight` and `var_weight`.
    pub(crate) fn mixed(&self) -> usize {
        1 + usize::from(self.instance) + usize::from(self.batch)
    }
}
