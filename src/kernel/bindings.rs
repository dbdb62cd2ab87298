//! What each kernel is called, who runs it and what it binds.

use super::{Binding, Element, Keep, Kernel, Parameters, RowsFrom, Save, Settle, StatisticsFrom, Team, settle_if};

impl Parameters {
    /// Where their gradients go.
    fn gradients(self) -> &'static [Binding] {
        match self {
            Parameters::None => &[],
            Parameters::Weight | Parameters::WeightQuads => &[Binding::WeightGradient],
            Parameters::Both | Parameters::BothQuads => &[Binding::WeightGradient, Binding::BiasGradient],
        }
    }

    fn bindings(self) -> &'static [Binding] {
        match self {
            Parameters::None => &[],
            Parameters::Weight | Parameters::WeightQuads => &[Binding::Weight],
            Parameters::Both | Parameters::BothQuads => &[Binding::Weight, Binding::Bias],
        }
    }
}

impl StatisticsFrom {
    fn bindings(self) -> &'static [Binding] {
        match self {
            StatisticsFrom::Stored => &[Binding::Statistics],
            StatisticsFrom::Running => &[Binding::RunningMean, Binding::RunningVar],
            StatisticsFrom::Mixed => &[Binding::Moments, Binding::Axes],
        }
    }
}

impl Settle {
    fn bindings(self) -> &'static [Binding] {
        match self {
            Settle::None => &[],
            Settle::Track => &[Binding::RunningMean, Binding::RunningVar, Binding::NumBatchesTracked],
            Settle::Running => &[Binding::RunningMean, Binding::RunningVar],
        }
    }
}

impl Kernel {
    /// Samples of a column that an invocation holds in registers at once.
    pub const COLUMN_UNITS: u32 = 8;

    /// Rows that `backward_rows` may hold the coefficients of.
    pub const ROWS: [u32; 2] = [8, 16];

    /// Moments that are merged one after the other (shaders/part/moments.wgsl).
    pub(crate) const CHAIN: u64 = 32;

    /// Channels of a team of `backward_combine`, where it owns several.
    pub const NEIGHBOURS: u32 = 4;

    /// What a browser needs before a kernel whose team is a subgroup.
    pub const BROWSER_SUBGROUPS: &'static str = "enable subgroups;\nrequires subgroup_id;\n";

    /// File, entry point and label.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::ForwardRow { .. } => "forward_row",
            Kernel::ForwardMoments { .. } => "forward_moments",
            Kernel::ForwardCombine { .. } => "forward_combine",
            Kernel::ForwardInstances { .. } => "forward_instances",
            Kernel::ForwardAxes { .. } => "forward_axes",
            Kernel::ForwardApply { .. } => "forward_apply",
            Kernel::ForwardColumns { .. } => "forward_columns",
            Kernel::ForwardApplyColumns { .. } => "forward_apply_columns",
            Kernel::BackwardRow { .. } => "backward_row",
            Kernel::BackwardSums { .. } => "backward_sums",
            Kernel::BackwardColumns { .. } => "backward_columns",
            Kernel::BackwardCombine { .. } => "backward_combine",
            Kernel::BackwardAxes { .. } => "backward_axes",
            Kernel::BackwardMix { .. } => "backward_mix",
            Kernel::BackwardApply { .. } => "backward_apply",
            Kernel::BackwardApplyColumns { .. } => "backward_apply_columns",
            Kernel::BackwardRows { .. } => "backward_rows",
        }
    }

    /// Who works on a row of it.
    pub fn team(self) -> Team {
        match self {
            Kernel::ForwardRow { team, .. }
            | Kernel::ForwardMoments { team, .. }
            | Kernel::ForwardCombine { team, .. }
            | Kernel::ForwardInstances { team }
            | Kernel::ForwardAxes { team, .. }
            | Kernel::ForwardApply { team, .. }
            | Kernel::BackwardRow { team, .. }
            | Kernel::BackwardSums { team, .. }
            | Kernel::BackwardCombine { team, .. }
            | Kernel::BackwardAxes { team, .. }
            | Kernel::BackwardMix { team, .. }
            | Kernel::BackwardApply { team, .. } => team,
            Kernel::ForwardColumns { .. }
            | Kernel::ForwardApplyColumns { .. }
            | Kernel::BackwardColumns { .. }
            | Kernel::BackwardApplyColumns { .. }
            | Kernel::BackwardRows { .. } => Team::Invocation,
        }
    }

    /// How it loads activations, if it does.
    pub fn element(self) -> Option<Element> {
        match self {
            Kernel::ForwardRow { element, .. }
            | Kernel::ForwardMoments { element, .. }
            | Kernel::ForwardApply { element, .. }
            | Kernel::ForwardColumns { element, .. }
            | Kernel::ForwardApplyColumns { element, .. }
            | Kernel::BackwardRow { element, .. }
            | Kernel::BackwardSums { element, .. }
            | Kernel::BackwardColumns { element, .. }
            | Kernel::BackwardApply { element, .. }
            | Kernel::BackwardApplyColumns { element, .. }
            | Kernel::BackwardRows { element, .. } => Some(element),
            _ => None,
        }
    }

    /// What it binds, in group 0, and whether it writes it.
    pub fn bindings(self) -> Vec<(Binding, bool)> {
        let mut reads = vec![Binding::Params];
        let mut writes = vec![];
        match self {
            Kernel::ForwardRow { parameters, save, track, .. } => {
                reads.push(Binding::X);
                reads.extend(parameters.bindings());
                writes.push(Binding::Y);
                match save {
                    Save::Nothing => {}
                    Save::Moments => writes.push(Binding::Moments),
                    Save::Statistics => writes.push(Binding::Statistics),
                }
                writes.extend(settle_if(track).bindings());
            }
            Kernel::ForwardMoments { .. } | Kernel::ForwardColumns { .. } => {
                reads.push(Binding::X);
                writes.push(Binding::Moments);
            }
            Kernel::ForwardCombine { track, .. } => {
                reads.push(Binding::Moments);
                writes.push(Binding::Statistics);
                writes.extend(settle_if(track).bindings());
            }
            Kernel::ForwardInstances { .. } => {
                reads.push(Binding::Moments);
                writes.extend([Binding::Statistics, Binding::RunningMean, Binding::RunningVar]);
            }
            Kernel::ForwardAxes { settle, .. } => {
                reads.extend([Binding::Moments, Binding::MeanWeight, Binding::VarWeight]);
                writes.push(Binding::Axes);
                let running = if settle == Settle::Track { &mut writes } else { &mut reads };
                running.extend(settle.bindings());
            }
            Kernel::ForwardApply { parameters, from, .. } | Kernel::ForwardApplyColumns { parameters, from, .. } => {
                reads.push(Binding::X);
                reads.extend(parameters.bindings());
                writes.push(Binding::Y);
                reads.extend(from.bindings());
            }
            Kernel::BackwardRow { parameters, keep, .. } => {
                reads.extend([Binding::X, Binding::Dy, Binding::Statistics]);
                reads.extend(parameters.bindings());
                writes.push(Binding::Dx);
                writes.extend((keep != Keep::Nothing).then_some(Binding::Sums));
            }
            Kernel::BackwardSums { parameters, from, element, .. }
            | Kernel::BackwardColumns { parameters, from, element } => {
                reads.extend([Binding::X, Binding::Dy]);
                reads.extend(parameters.bindings());
                reads.extend(from.bindings());
                writes.push(Binding::Sums);
                writes.extend(from.gives_dx(element).then_some(Binding::Dx));
            }
            Kernel::BackwardCombine { sets, parameters, .. } => {
                reads.push(Binding::Sums);
                if let Some(weights) = sets {
                    reads.push(Binding::Statistics);
                    reads.extend(weights.bindings());
                    writes.push(Binding::Coefficients);
                }
                writes.extend(parameters.gradients());
            }
            Kernel::BackwardAxes { parameters, .. } => {
                reads.extend([Binding::Sums, Binding::Moments, Binding::Axes]);
                reads.extend(parameters.without_bias().bindings());
                writes.push(Binding::AxisGradients);
                writes.extend(parameters.gradients());
            }
            Kernel::BackwardMix { parameters, .. } => {
                reads.extend([Binding::Sums, Binding::Moments, Binding::Axes, Binding::AxisGradients]);
                reads.extend(parameters.bindings());
                writes.extend([Binding::Coefficients, Binding::MeanWeightGradient, Binding::VarWeightGradient]);
            }
            Kernel::BackwardApply { parameters, running, .. }
            | Kernel::BackwardApplyColumns { parameters, running, .. } => {
                reads.extend([Binding::X, Binding::Dy]);
                reads.extend(parameters.bindings());
                if running {
                    reads.extend(StatisticsFrom::Running.bindings());
                } else {
                    reads.push(Binding::Coefficients);
                }
                writes.push(Binding::Dx);
            }
            Kernel::BackwardRows { parameters, rows, .. } => {
                reads.extend([Binding::X, Binding::Dy]);
                reads.extend(parameters.bindings());
                reads.push(if rows == RowsFrom::Stored { Binding::Coefficients } else { Binding::Statistics });
                writes.push(Binding::Sums);
                writes.extend((rows != RowsFrom::Statistics).then_some(Binding::Dx));
            }
        }
        let reads = reads.into_iter().map(|binding| (binding, false));
        let mut bindings: Vec<_> = reads.chain(writes.into_iter().map(|binding| (binding, true))).collect();
        bindings.sort();
        bindings
    }
}
