//! What options are made of.

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
pub enum Momentum {
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
    pub const BOTH: Affine = Affine { affine: true, bias: true };
}

/// Running statistics of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Running {
    pub momentum: Momentum,
    pub track: bool,
}
