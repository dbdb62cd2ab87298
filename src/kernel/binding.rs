//! The buffers that kernels bind.

/// A buffer that a kernel binds, with its number in every kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
#[allow(missing_docs, reason = "they are called what the shaders call them, see shaders/README.md")]
pub enum Binding {
    X = 0,
    Y = 1,
    Params = 2,
    Weight = 3,
    Bias = 4,
    Moments = 5,
    Statistics = 6,
    RunningMean = 7,
    RunningVar = 8,
    NumBatchesTracked = 9,
    Axes = 10,
    MeanWeight = 11,
    VarWeight = 12,
    Dy = 13,
    Dx = 14,
    Sums = 15,
    Coefficients = 16,
    WeightGradient = 17,
    BiasGradient = 18,
    AxisGradients = 19,
    MeanWeightGradient = 20,
    VarWeightGradient = 21,
    AddBefore = 22,
    KeptSum = 23,
    ModulationScale = 24,
    ModulationShift = 25,
    AddAfter = 26,
    OutputGradient = 27,
    AddAfterGradient = 28,
    FoldedWeight = 29,
    FoldedBias = 30,
    FoldedScale = 31,
    FoldedWeightGradient = 32,
    FoldedBiasGradient = 33,
    ScaleGradient = 34,
    ShiftGradient = 35,
    AddBeforeGradient = 36,
    DxMoments = 37,
    Combined = 38,
    RankMoments = 39,
}

impl Binding {
    /// Where the gradient of this parameter goes, if it is one that is learned.
    pub(crate) fn gradient(self) -> Option<Binding> {
        match self {
            Binding::Weight => Some(Binding::WeightGradient),
            Binding::Bias => Some(Binding::BiasGradient),
            Binding::MeanWeight => Some(Binding::MeanWeightGradient),
            Binding::VarWeight => Some(Binding::VarWeightGradient),
            _ => None,
        }
    }
}
