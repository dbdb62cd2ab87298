//! What a layer is: one plain type per norm, named and defaulted as in `torch.nn`, and their sum [`NormSpec`].

use crate::error::{Error, Result};

mod switchable;

pub use switchable::{SwitchableNorm, Variance, Weighting};

/// Whether a layer takes its input's statistics and moves its running ones, or uses the running ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// As after `module.train()`; where every layer starts.
    #[default]
    Training,
    /// As after `module.eval()`.
    Evaluation,
}

/// torch's name for the number of batches behind the running statistics; the one whole number in a state dict.
pub(crate) const COUNTER: &str = "num_batches_tracked";

/// How far a running statistic moves with each batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Momentum {
    /// `new = (1 − momentum)·old + momentum·batch`.
    Fixed(f32),
    /// torch's `momentum=None`: the plain average of all batches so far.
    Cumulative,
}

/// Which learnable parameters a layer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Affine {
    pub affine: bool,
    pub bias: bool,
}

impl Affine {
    const BOTH: Affine = Affine { affine: true, bias: true };
}

/// Running statistics of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Running {
    pub momentum: Momentum,
    pub track: bool,
}

/// Batch normalization over `N` and all spatial dimensions, per channel, of inputs `[N, C, *]` of rank 2 and above
/// (`torch.nn.BatchNorm1d`, `2d`, `3d`; Ioffe & Szegedy 2015, arXiv:1502.03167).
///
/// State: `weight`, `bias`, `running_mean`, `running_var` of shape `[C]`, `num_batches_tracked`.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    pub(crate) channels: usize,
    pub(crate) eps: f32,
    pub(crate) affine: Affine,
    pub(crate) running: Running,
}

impl BatchNorm {
    /// `num_features` channels, eps 1e-5, momentum 0.1, affine with bias, running statistics.
    pub fn new(num_features: usize) -> Self {
        let running = Running { momentum: Momentum::Fixed(0.1), track: true };
        BatchNorm { channels: num_features, eps: 1e-5, affine: Affine::BOTH, running }
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
}

/// Layer normalization over the trailing dimensions `normalized_shape`, of inputs `[*, normalized_shape]`
/// (`torch.nn.LayerNorm`; Ba, Kiros & Hinton 2016, arXiv:1607.06450).
///
/// State: `weight`, `bias` of shape `normalized_shape`.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    pub(crate) normalized_shape: Vec<usize>,
    pub(crate) eps: f32,
    pub(crate) affine: Affine,
}

impl LayerNorm {
    /// eps 1e-5, elementwise affine with bias.
    pub fn new(normalized_shape: impl Into<Vec<usize>>) -> Self {
        LayerNorm { normalized_shape: normalized_shape.into(), eps: 1e-5, affine: Affine::BOTH }
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
}

/// Root-mean-square normalization, `x / sqrt(mean(x²) + eps) · weight`, over the trailing dimensions
/// `normalized_shape` (`torch.nn.RMSNorm`; Zhang & Sennrich 2019, arXiv:1910.07467).
///
/// State: `weight` of shape `normalized_shape`.
#[derive(Debug, Clone, PartialEq)]
pub struct RmsNorm {
    pub(crate) normalized_shape: Vec<usize>,
    pub(crate) eps: f32,
    pub(crate) affine: bool,
}

impl RmsNorm {
    /// torch's `eps=None`, which is f32's machine epsilon 2⁻²³, and a weight.
    pub fn new(normalized_shape: impl Into<Vec<usize>>) -> Self {
        RmsNorm { normalized_shape: normalized_shape.into(), eps: f32::EPSILON, affine: true }
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
}

/// Instance normalization over the spatial dimensions, per sample and channel, of inputs `[N, C, *]` of rank 3 and
/// above, or `[C, *]` when [`unbatched`](Self::unbatched) (`torch.nn.InstanceNorm1d`, `2d`, `3d`; Ulyanov, Vedaldi &
/// Lempitsky 2016, arXiv:1607.08022). As in `InstanceNorm1d`, rank 2 is unbatched, `[C, L]`.
///
/// State, none by default: as [`BatchNorm`]'s.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceNorm {
    pub(crate) channels: usize,
    pub(crate) eps: f32,
    pub(crate) affine: Affine,
    pub(crate) running: Running,
    pub(crate) unbatched: bool,
}

impl InstanceNorm {
    /// `num_features` channels, eps 1e-5, momentum 0.1, not affine, no running statistics.
    pub fn new(num_features: usize) -> Self {
        let running = Running { momentum: Momentum::Fixed(0.1), track: false };
        let affine = Affine { affine: false, bias: true };
        InstanceNorm { channels: num_features, eps: 1e-5, affine, running, unbatched: false }
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
}

/// Group normalization over each of `num_groups` equal groups of channels and all spatial dimensions, per sample, of
/// inputs `[N, C, *]` of rank 2 and above (`torch.nn.GroupNorm`; Wu & He 2018, arXiv:1803.08494).
///
/// State: `weight`, `bias` of shape `[C]`.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupNorm {
    pub(crate) groups: usize,
    pub(crate) channels: usize,
    pub(crate) eps: f32,
    pub(crate) affine: Affine,
}

impl GroupNorm {
    /// eps 1e-5, affine with bias. `num_groups` must divide `num_channels`.
    pub fn new(num_groups: usize, num_channels: usize) -> Self {
        GroupNorm { groups: num_groups, channels: num_channels, eps: 1e-5, affine: Affine::BOTH }
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
}

/// Any of the norms. Every spec converts into it.
#[derive(Debug, Clone, PartialEq)]
pub enum NormSpec {
    /// Batch normalization.
    Batch(BatchNorm),
    /// Layer normalization.
    Layer(LayerNorm),
    /// Instance normalization.
    Instance(InstanceNorm),
    /// Group normalization.
    Group(GroupNorm),
    /// Switchable normalization.
    Switchable(SwitchableNorm),
    /// Root-mean-square normalization.
    Rms(RmsNorm),
}

impl NormSpec {
    /// The name used in messages: "batch norm".
    pub fn name(&self) -> &'static str {
        match self {
            NormSpec::Batch(_) => "batch norm",
            NormSpec::Layer(_) => "layer norm",
            NormSpec::Instance(_) => "instance norm",
            NormSpec::Group(_) => "group norm",
            NormSpec::Switchable(_) => "switchable norm",
            NormSpec::Rms(_) => "rms norm",
        }
    }

    pub(crate) fn eps(&self) -> f32 {
        match self {
            NormSpec::Batch(norm) => norm.eps,
            NormSpec::Layer(norm) => norm.eps,
            NormSpec::Instance(norm) => norm.eps,
            NormSpec::Group(norm) => norm.eps,
            NormSpec::Switchable(norm) => norm.eps,
            NormSpec::Rms(norm) => norm.eps,
        }
    }

    /// The shape of `weight` and `bias`.
    pub(crate) fn parameter_shape(&self) -> Vec<usize> {
        match self {
            NormSpec::Batch(norm) => vec![norm.channels],
            NormSpec::Layer(norm) => norm.normalized_shape.clone(),
            NormSpec::Instance(norm) => vec![norm.channels],
            NormSpec::Group(norm) => vec![norm.channels],
            NormSpec::Switchable(norm) => vec![norm.channels],
            NormSpec::Rms(norm) => norm.normalized_shape.clone(),
        }
    }

    fn parameters(&self) -> Affine {
        match self {
            NormSpec::Batch(norm) => norm.affine,
            NormSpec::Layer(norm) => norm.affine,
            NormSpec::Instance(norm) => norm.affine,
            NormSpec::Group(norm) => norm.affine,
            NormSpec::Switchable(norm) => norm.affine,
            NormSpec::Rms(norm) => Affine { affine: norm.affine, bias: false },
        }
    }

    pub(crate) fn has_weight(&self) -> bool {
        self.parameters().affine
    }

    pub(crate) fn has_bias(&self) -> bool {
        let parameters = self.parameters();
        parameters.affine && parameters.bias
    }

    /// The momentum of the running statistics, where the layer has them.
    pub(crate) fn tracked(&self) -> Option<Momentum> {
        match self {
            NormSpec::Batch(BatchNorm { running, .. }) | NormSpec::Instance(InstanceNorm { running, .. }) => {
                running.track.then_some(running.momentum)
            }
            NormSpec::Switchable(norm) => norm.batch.then_some(norm.momentum),
            NormSpec::Layer(_) | NormSpec::Group(_) | NormSpec::Rms(_) => None,
        }
    }

    /// Checks what can be checked before there is an input.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::EmptyNormalizedShape`], [`Error::Indivisible`], [`Error::EpsNotFinite`],
    /// [`Error::NothingToSwitch`].
    pub fn validate(&self) -> Result<()> {
        let norm = self.name();
        match self {
            NormSpec::Layer(LayerNorm { normalized_shape, .. }) | NormSpec::Rms(RmsNorm { normalized_shape, .. })
                if normalized_shape.is_empty() =>
            {
                return Err(Error::EmptyNormalizedShape { norm });
            }
            NormSpec::Layer(_) | NormSpec::Rms(_) => {}
            _ if self.parameter_shape() == [0] => return Err(Error::ZeroSize { norm, what: "the number of channels" }),
            NormSpec::Group(GroupNorm { groups: 0, .. }) => {
                return Err(Error::ZeroSize { norm, what: "the number of groups" });
            }
            &NormSpec::Group(GroupNorm { groups, channels, .. }) if channels % groups != 0 => {
                return Err(Error::Indivisible { groups, channels });
            }
            NormSpec::Switchable(spec) if spec.mixed() == 1 => return Err(Error::NothingToSwitch),
            _ => {}
        }
        let eps = self.eps();
        if eps.is_finite() { Ok(()) } else { Err(Error::EpsNotFinite { norm, eps }) }
    }
}

impl From<BatchNorm> for NormSpec {
    fn from(norm: BatchNorm) -> Self {
        NormSpec::Batch(norm)
    }
}

impl From<LayerNorm> for NormSpec {
    fn from(norm: LayerNorm) -> Self {
        NormSpec::Layer(norm)
    }
}

impl From<InstanceNorm> for NormSpec {
    fn from(norm: InstanceNorm) -> Self {
        NormSpec::Instance(norm)
    }
}

impl From<GroupNorm> for NormSpec {
    fn from(norm: GroupNorm) -> Self {
        NormSpec::Group(norm)
    }
}

impl From<SwitchableNorm> for NormSpec {
    fn from(norm: SwitchableNorm) -> Self {
        NormSpec::Switchable(norm)
    }
}

impl From<RmsNorm> for NormSpec {
    fn from(norm: RmsNorm) -> Self {
        NormSpec::Rms(norm)
    }
}
