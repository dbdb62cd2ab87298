//! What users call what a kernel binds.

use crate::kernel::Binding;

/// Torch's names, and those of a call's arguments.
pub(super) fn name(binding: Binding) -> &'static str {
    match binding {
        Binding::X => "input",
        Binding::Y => "output",
        Binding::Dy | Binding::OutputGradient => "dy",
        Binding::Dx => "input's gradient",
        Binding::Weight => "weight",
        Binding::Bias => "bias",
        Binding::MeanWeight => "mean_weight",
        Binding::VarWeight => "var_weight",
        Binding::RunningMean => "running_mean",
        Binding::RunningVar => "running_var",
        Binding::NumBatchesTracked => "num_batches_tracked",
        Binding::WeightGradient => "weight's gradient",
        Binding::BiasGradient => "bias's gradient",
        Binding::MeanWeightGradient => "mean_weight's gradient",
        Binding::VarWeightGradient => "var_weight's gradient",
        Binding::AddBefore => "tensor added before",
        Binding::KeptSum => "kept sum",
        Binding::ModulationScale => "scale",
        Binding::ModulationShift => "shift",
        Binding::AddAfter => "tensor added after",
        Binding::AddBeforeGradient => "gradient of what was added by channel",
        Binding::ScaleGradient => "scale's gradient",
        Binding::ShiftGradient => "shift's gradient",
        Binding::AddAfterGradient => "gradient of what was added after",
        Binding::Moments
        | Binding::Statistics
        | Binding::Axes
        | Binding::Sums
        | Binding::Coefficients
        | Binding::AxisGradients
        | Binding::DxMoments
        | Binding::FoldedWeight
        | Binding::FoldedBias
        | Binding::FoldedScale
        | Binding::FoldedWeightGradient
        | Binding::FoldedBiasGradient
        | Binding::Combined
        | Binding::RankMoments
        | Binding::Params => "saved forward",
    }
}
