//! Any of the norms, and what they have in common.

use super::activation::Activation;
use super::channels::{BatchNorm, GroupNorm, InstanceNorm};
use super::options::{Affine, Momentum};
use super::switchable::{SwitchableNorm, Variance, Weighting};
use super::trailing::{LayerNorm, RmsNorm};
use crate::error::{Error, Result};

/// Any of the norms. Every spec converts into it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
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

    /// What is added to the variance.
    pub fn eps(&self) -> f32 {
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
    pub fn parameter_shape(&self) -> Vec<usize> {
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

    /// Whether the layer has a weight.
    pub fn has_weight(&self) -> bool {
        self.parameters().affine
    }

    /// Whether the layer has a bias.
    pub fn has_bias(&self) -> bool {
        let parameters = self.parameters();
        parameters.affine && parameters.bias
    }

    /// Whether the layer has running statistics.
    pub fn has_running_stats(&self) -> bool {
        self.momentum().is_some()
    }

    /// How far the running statistics move, where the layer has them.
    pub fn momentum(&self) -> Option<Momentum> {
        match self {
            NormSpec::Batch(BatchNorm { running, .. }) | NormSpec::Instance(InstanceNorm { running, .. }) => {
                running.track.then_some(running.momentum)
            }
            NormSpec::Switchable(norm) => norm.batch.then_some(norm.momentum),
            NormSpec::Layer(_) | NormSpec::Group(_) | NormSpec::Rms(_) => None,
        }
    }

    /// Whether inputs are `[N, *, C]`, of a norm that has them as `[N, C, *]` unless it is told so.
    pub fn channels_last(&self) -> bool {
        match self {
            NormSpec::Batch(norm) => norm.channels_last,
            NormSpec::Instance(norm) => norm.channels_last,
            NormSpec::Group(norm) => norm.channels_last,
            NormSpec::Switchable(norm) => norm.channels_last,
            NormSpec::Layer(_) | NormSpec::Rms(_) => false,
        }
    }

    /// Whether inputs are `[N, C, *]`, of a norm that has what it normalizes at the end unless it is told so.
    pub fn channels_first(&self) -> bool {
        match self {
            NormSpec::Layer(norm) => norm.channels_first,
            NormSpec::Rms(norm) => norm.channels_first,
            _ => false,
        }
    }

    /// What the output goes through.
    pub fn activation(&self) -> Activation {
        match self {
            NormSpec::Batch(norm) => norm.activation,
            NormSpec::Layer(norm) => norm.activation,
            NormSpec::Instance(norm) => norm.activation,
            NormSpec::Group(norm) => norm.activation,
            NormSpec::Switchable(norm) => norm.activation,
            NormSpec::Rms(norm) => norm.activation,
        }
    }

    /// The same with another activation.
    #[must_use]
    pub fn with_activation(mut self, activation: Activation) -> NormSpec {
        *match &mut self {
            NormSpec::Batch(norm) => &mut norm.activation,
            NormSpec::Layer(norm) => &mut norm.activation,
            NormSpec::Instance(norm) => &mut norm.activation,
            NormSpec::Group(norm) => &mut norm.activation,
            NormSpec::Switchable(norm) => &mut norm.activation,
            NormSpec::Rms(norm) => &mut norm.activation,
        } = activation;
        self
    }

    /// Groups of channels, of group norm.
    pub fn num_groups(&self) -> Option<usize> {
        if let NormSpec::Group(norm) = self { Some(norm.groups) } else { None }
    }

    /// How switchable norm weighs its statistics.
    pub fn weighting(&self) -> Option<Weighting> {
        if let NormSpec::Switchable(norm) = self { Some(norm.weighting) } else { None }
    }

    /// Which variance estimators switchable norm mixes.
    pub fn variance(&self) -> Option<Variance> {
        if let NormSpec::Switchable(norm) = self { Some(norm.variance) } else { None }
    }

    /// Checks what can be checked before there is an input.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::EmptyNormalizedShape`], [`Error::ChannelsFirst`], [`Error::Indivisible`],
    /// [`Error::EpsNotFinite`], [`Error::NothingToSwitch`].
    pub fn validate(&self) -> Result<()> {
        let norm = self.name();
        match self {
            NormSpec::Layer(LayerNorm { normalized_shape, .. }) | NormSpec::Rms(RmsNorm { normalized_shape, .. })
                if normalized_shape.is_empty() =>
            {
                return Err(Error::EmptyNormalizedShape { norm });
            }
            NormSpec::Layer(_) | NormSpec::Rms(_) => {
                let normalized_shape = self.parameter_shape();
                if self.channels_first() && normalized_shape.len() != 1 {
                    return Err(Error::ChannelsFirst { norm, normalized_shape });
                }
            }
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

macro_rules! activations {
    ($($spec:ident)*) => {
        $(impl $spec {
            /// What the output goes through, in the same pass; nothing unless it is said.
            pub fn activation(mut self, activation: Activation) -> Self {
                self.activation = activation;
                self
            }
        })*
    };
}

activations!(BatchNorm LayerNorm InstanceNorm GroupNorm SwitchableNorm RmsNorm);

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
