//! The closed set of kernels.

use super::alternatives::{
    Beside, CoefficientsFrom, Element, KeptSums, Parameters, RunningStatistics, Save, StatisticsFrom, Team,
};
use super::binding::Binding;
use crate::dtype::DType;

/// A kernel and the pieces that vary in it. Its name is its file, its entry point and its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are of types that say what they are")]
pub enum Kernel {
    /// Whole rows: read once, summed, written. `units` registers per lane; `track` moves running statistics.
    ForwardRow {
        team: Team,
        element: Element,
        units: u32,
        parameters: Parameters,
        save: Save,
        track: bool,
        beside: Beside,
    },
    /// Moments of pieces of rows.
    ForwardMoments { team: Team, element: Element, units: u32, sum: bool },
    /// Moments of rows from their pieces, to be saved as such or as statistics.
    ForwardCombine { team: Team, track: bool, save: Save },
    /// Statistics of instances, and instance norm's running ones.
    ForwardInstances { team: Team },
    /// Switchable norm's layer and batch moments and its shares.
    ForwardAxes { team: Team, running: RunningStatistics },
    /// Moments of columns.
    ForwardColumns { element: Element, sum: bool },
    /// Outputs of columns from known statistics.
    ForwardApplyColumns { element: Element, parameters: Parameters, from: StatisticsFrom, beside: Beside },
    /// Outputs from known statistics.
    ForwardApply { team: Team, element: Element, parameters: Parameters, from: StatisticsFrom, beside: Beside },
    /// `parameters` multiplied out with each sample's scale and shift, which are read as beside such elements.
    ForwardFold { element: Element, parameters: Parameters },
    /// The gradient of what goes into the activation, where a tensor was `added` to the layer's output or not.
    BackwardOutput { team: Team, element: Element, parameters: Parameters, from: StatisticsFrom, added: bool },
    /// Whole rows: read once, summed, their dx written.
    BackwardRow { team: Team, element: Element, units: u32, parameters: Parameters, keep: KeptSums },
    /// Sums over pieces of rows; weighted by `parameters`, which have no bias. From running statistics, which are
    /// constants, `dx` too.
    BackwardSums { team: Team, element: Element, units: u32, parameters: Parameters, from: StatisticsFrom, dx: bool },
    /// Sums over lines whose elements have statistics each, `units` lines at once.
    BackwardLines { team: Team, element: Element, units: u32 },
    /// Sums over columns. From running statistics `dx` too.
    BackwardColumns { element: Element, parameters: Parameters, from: StatisticsFrom, dx: bool },
    /// From sums: coefficients of sets, if any, after multiplying by these weights; and the gradients of `parameters`.
    BackwardCombine { team: Team, sets: Option<Parameters>, parameters: Parameters },
    /// What switchable norm's samples and channels contribute, and the gradients of `parameters`.
    BackwardAxes { team: Team, parameters: Parameters },
    /// Coefficients of switchable norm's instances, and the gradients of its mixing weights.
    BackwardMix { team: Team, parameters: Parameters },
    /// Gradients of the input from known coefficients; `running` statistics are constants.
    BackwardApply { team: Team, element: Element, parameters: Parameters, running: bool },
    /// The same of columns.
    BackwardApplyColumns { element: Element, parameters: Parameters, running: bool },
    /// The same of rows whose elements have weights of their own, `units` rows at once, and the sums over their columns.
    BackwardRows { element: Element, units: u32, parameters: Parameters, from: CoefficientsFrom },
    /// The gradients of a scale and a shift, that these `parameters` were multiplied out with.
    BackwardModulation { parameters: Parameters },
    /// The gradients of `parameters` that were multiplied out.
    BackwardFold { team: Team, parameters: Parameters },
    /// The gradient of what was added to whole planes.
    BackwardAddend,
}

impl Kernel {
    /// Elements of a column that an invocation holds in registers at once.
    pub const COLUMN_UNITS: u32 = 8;

    /// Lines that a team of `backward_lines` may own, of a GPU and of a software adapter; and units of each that a lane takes at a time.
    pub const LINES: [u32; 2] = [2, 4];

    /// Rows that `backward_rows` may hold the coefficients of.
    pub const ROWS: [u32; 3] = [4, 8, 16];

    /// Whether its activations are f16, which devices convert in several ways.
    pub fn converts_f16(self) -> bool {
        self.element().is_some_and(|element| element.dtype == DType::F16)
    }

    /// Units of each of its inputs that an invocation loads before it waits for any.
    pub(crate) fn units_at_once(self) -> u32 {
        use Kernel::*;
        match self {
            ForwardRow { units, .. } | ForwardMoments { units, .. } | BackwardRow { units, .. } => units,
            BackwardSums { units, .. } | BackwardLines { units, .. } | BackwardRows { units, .. } => units,
            ForwardColumns { .. } | BackwardColumns { .. } => Kernel::COLUMN_UNITS,
            _ => 1,
        }
    }

    /// Whether what it normalizes is a sum.
    pub(crate) fn adds_before(self) -> bool {
        self.bindings().contains(&(Binding::AddBefore, false))
    }

    /// How many tensors of the input's shape it reads.
    pub(crate) fn inputs(self) -> u64 {
        use Binding::*;
        let large = |binding| matches!(binding, X | Dy | AddBefore | AddAfter | OutputGradient);
        let inputs = self.bindings().into_iter().filter(|&(binding, writes)| large(binding) && !writes);
        inputs.count() as u64
    }

    /// Bytes of these that an invocation loads before it waits for any.
    pub(crate) fn bytes_at_once(self) -> u64 {
        u64::from(self.units_at_once()) * self.element().map_or(0, Element::bytes) * self.inputs()
    }

    /// Channels of a team of `backward_combine`, where it owns several.
    pub const NEIGHBOURS: u32 = 4;
}
