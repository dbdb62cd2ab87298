//! The norms of channels: batch, instance and group normalization.

use super::activation::Activation;
use super::options::{Affine, Momentum, Running};

/// Batch normalization over `N` and all spatial dimensions, per channel, of inputs `[N, C, *]` of rank 2 and above, or
/// `[N, *, C]` by [`channels_last`](Self::channels_last) (`torch.nn.BatchNorm1d`, `2d`, `3d`; Ioffe & Szegedy 2015, arXiv:1502.03167).
///
/// State: `weight`, `bias`, `running_mean`, `running_var` of shape `[C]`, `num_batches_tracked`.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a spec does nothing before a layer is made of it"]
pub struct BatchNorm {
    pub(crate) channels: usize,
    pub(crate) eps: f32,
    pub(crate) affine: Affine,
    pub(crate) activation: Activation,
    pub(crate) running: Running,
    pub(crate) channels_last: bool,
}

impl BatchNorm {
    /// `num_features` channels, eps 1e-5, momentum 0.1, affine with bias, running statistics.
    pub fn new(num_features: usize) -> Self {
        let running = Running { momentum: Momentum::Fixed(0.1), track: true };
        let activation = Activation::Identity;
        BatchNorm { channels: num_features, eps: 1e-5, affine: Affine::BOTH, activation, running, channels_last: false }
    }

    /// Added to the variance; must be positive where the batch's statistics are used.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// The share of the newest batch in the running statistics; any number, as in torch.
    pub fn momentum(mut self, momentum: f32) -> Self {
        self.running.momentum = Momentum::Fixed(momentum);
        self
    }

    /// torch's `momentum=None`: the running statistics are the plain average over all batches.
    pub fn cumulative_average(mut self) -> Self {
        self.running.momentum = Momentum::Cumulative;
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

    /// Whether there are running statistics; without them evaluation uses the batch's too.
    pub fn track_running_stats(mut self, track: bool) -> Self {
        self.running.track = track;
        self
    }

    /// Inputs are `[N, *, C]`.
    pub fn channels_last(mut self) -> Self {
        self.channels_last = true;
        self
    }
}

/// Instance normalization over the spatial dimensions, per sample and channel, of inputs `[N, C, *]` of rank 3 and
/// above, or `[C, *]` when [`unbatched`](Self::unbatched), or with `C` at the end by [`channels_last`](Self::channels_last) (`torch.nn.InstanceNorm1d`, `2d`, `3d`; Ulyanov, Vedaldi &
/// Lempitsky 2016, arXiv:1607.08022). As in `InstanceNorm1d`, rank 2 is unbatched, `[C, L]` or `[L, C]`.
///
/// State, none by default: as [`BatchNorm`]'s.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a spec does nothing before a layer is made of it"]
pub struct InstanceNorm {
    pub(crate) channels: usize,
    pub(crate) eps: f32,
    pub(crate) affine: Affine,
    pub(crate) activation: Activation,
    pub(crate) running: Running,
    pub(crate) unbatched: bool,
    pub(crate) channels_last: bool,
}

impl InstanceNorm {
    /// `num_features` channels, eps 1e-5, momentum 0.1, not affine, no running statistics.
    pub fn new(num_features: usize) -> Self {
        let running = Running { momentum: Momentum::Fixed(0.1), track: false };
        let affine = Affine { affine: false, bias: true };
        let activation = Activation::Identity;
        let (unbatched, channels_last) = (false, false);
        InstanceNorm { channels: num_features, eps: 1e-5, affine, activation, running, unbatched, channels_last }
    }

    /// Added to the variance.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// The share of the newest batch in the running statistics; any number, as in torch.
    pub fn momentum(mut self, momentum: f32) -> Self {
        self.running.momentum = Momentum::Fixed(momentum);
        self
    }

    /// torch's `momentum=None`, which for instance norm means that the running statistics never move.
    pub fn cumulative_average(mut self) -> Self {
        self.running.momentum = Momentum::Cumulative;
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

    /// Whether there are running statistics, which evaluation then uses.
    pub fn track_running_stats(mut self, track: bool) -> Self {
        self.running.track = track;
        self
    }

    /// Whether inputs are one sample without its batch dimension, `[C, *]`. torch tells by the module's `1d`, `2d` or
    /// `3d`; this type serves every rank, so it has to be said (but at rank 2, which is always `[C, L]`).
    pub fn unbatched(mut self, unbatched: bool) -> Self {
        self.unbatched = unbatched;
        self
    }

    /// Inputs are `[N, *, C]`, of one sample `[*, C]`.
    pub fn channels_last(mut self) -> Self {
        self.channels_last = true;
        self
    }
}

/// Group normalization over each of `num_groups` equal groups of channels and all spatial dimensions, per sample, of
/// inputs `[N, C, *]` of rank 2 and above, or `[N, *, C]` by [`channels_last`](Self::channels_last) (`torch.nn.GroupNorm`; Wu & He 2018, arXiv:1803.08494).
///
/// State: `weight`, `bias` of shape `[C]`.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a spec does nothing before a layer is made of it"]
pub struct GroupNorm {
    pub(crate) groups: usize,
    pub(crate) channels: usize,
    pub(crate) eps: f32,
    pub(crate) affine: Affine,
    pub(crate) activation: Activation,
    pub(crate) channels_last: bool,
}

impl GroupNorm {
    /// eps 1e-5, affine with bias. `num_groups` must divide `num_channels`.
    pub fn new(num_groups: usize, num_channels: usize) -> Self {
        let (affine, activation, channels_last) = (Affine::BOTH, Activation::Identity, false);
        GroupNorm { groups: num_groups, channels: num_channels, eps: 1e-5, affine, activation, channels_last }
    }

    /// Added to the variance.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
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

    /// Inputs are `[N, *, C]`.
    pub fn channels_last(mut self) -> Self {
        self.channels_last = true;
        self
    }
}
