//! The closed set of kernels: which WGSL pieces make each one up, what it binds, and its uniform.
//!
//! A kernel is a concatenation of pieces. Several pieces declare the same names, and a kernel links one of each:
//! `element_*` is how activations are stored, `team_*` who works on a row, `parameters_*` which parameters there are.

use bytemuck::{Pod, Zeroable};

use crate::dtype::DType;

mod all;
mod link;

/// Who works on one row together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Team {
    /// A workgroup, meeting in shared memory.
    Workgroup,
    /// Lanes that exchange registers: some of a subgroup, a whole one, or those of a workgroup, whose subgroups meet once.
    Subgroup,
    /// A single invocation, for software adapters and very short rows.
    Invocation,
}

/// How activations are loaded: a type, and how many of it in a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Element {
    /// The type.
    pub dtype: DType,
    /// Elements in a unit.
    pub width: u32,
}

/// Which parameters the layer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parameters {
    /// Neither.
    None,
    /// A weight alone.
    Weight,
    /// A weight and a bias.
    Both,
    /// A weight, read in fours: for units of neighbours that have neighbouring parameters.
    WeightQuads,
    /// A weight and a bias, read in fours.
    BothQuads,
}

/// What becomes of a channel's batch statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settle {
    /// They are used as they are.
    None,
    /// They are used and move the running ones.
    Track,
    /// The running ones are used instead.
    Running,
}

/// Where an apply finds its statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatisticsFrom {
    /// In the scratch that a combine wrote.
    Stored,
    /// In the running statistics.
    Running,
    /// Mixed on the spot from instance, layer and batch moments.
    Mixed,
}

/// A kernel and the pieces that vary in it. Its name is its file, its entry point and its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are of types that say what they are")]
pub enum Kernel {
    /// Whole rows: read once, summed, written. `units` registers per lane; `save` keeps the rows' moments, `track` moves
    /// running statistics.
    ForwardRow { team: Team, element: Element, units: u32, parameters: Parameters, save: bool, track: bool },
    /// Moments of pieces of rows.
    ForwardMoments { team: Team, element: Element, units: u32 },
    /// Statistics of rows from their pieces.
    ForwardCombine { team: Team, track: bool },
    /// Statistics of instances, and instance norm's running ones.
    ForwardInstances { team: Team },
    /// Switchable norm's layer and batch moments and its shares.
    ForwardAxes { team: Team, settle: Settle },
    /// Moments of columns.
    ForwardColumns { element: Element },
    /// Outputs of columns from known statistics.
    ForwardApplyColumns { element: Element, parameters: Parameters, from: StatisticsFrom },
    /// Outputs from known statistics.
    ForwardApply { team: Team, element: Element, parameters: Parameters, from: StatisticsFrom },
}

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
}

/// The uniform of every kernel; fields are explained in `shaders/part/params.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Pod, Zeroable)]
#[repr(C)]
#[allow(missing_docs, reason = "the shader says it, where it is used")]
pub struct Params {
    pub rows: u32,
    pub first: u32,
    pub row_len: u32,
    pub units: u32,
    pub row_stride: u32,
    pub run: u32,
    pub run_stride: u32,
    pub tiles: u32,
    pub segments: u32,
    pub segment_units: u32,
    pub partial_first: u32,
    pub partial_row: u32,
    pub partial_segment: u32,
    pub parts: u32,
    pub period: u32,
    pub step: u32,
    pub inner: u32,
    pub statistics_period: u32,
    pub samples: u32,
    pub channels: u32,
    pub eps: f32,
    pub momentum: f32,
    pub unbias: f32,
    pub instance_scale: f32,
    pub layer_scale: f32,
    pub batch_scale: f32,
    pub statistics_run: u32,
    pub pad: u32,
}

impl Team {
    /// All of them.
    pub const ALL: [Team; 3] = [Team::Workgroup, Team::Subgroup, Team::Invocation];
}

impl Element {
    /// How `dtype` can be loaded, widest first. The last one of 16-bit types only reads.
    pub fn widths(dtype: DType) -> &'static [u32] {
        match dtype {
            DType::F32 => &[4, 1],
            DType::F16 | DType::BF16 => &[8, 2, 1],
        }
    }

    /// Whether a unit is at least a word: smaller ones share words, which only reading may.
    pub fn writes(self) -> bool {
        self.width as usize * self.dtype.size() >= 4
    }
}

impl Parameters {
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

impl Team {
    /// How many units a lane may hold in registers at once; each has its piece.
    pub fn units(self) -> &'static [u32] {
        match self {
            Team::Workgroup => &[2, 8],
            Team::Subgroup => &[2, 8],
            Team::Invocation => &[2, 8, 16],
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

fn settle_if(track: bool) -> Settle {
    if track { Settle::Track } else { Settle::None }
}

impl Kernel {
    /// Samples of a column that an invocation holds in registers at once.
    pub const COLUMN_UNITS: u32 = 8;

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
            | Kernel::ForwardApply { team, .. } => team,
            Kernel::ForwardColumns { .. } | Kernel::ForwardApplyColumns { .. } => Team::Invocation,
        }
    }

    /// How it loads activations, if it does.
    pub fn element(self) -> Option<Element> {
        match self {
            Kernel::ForwardRow { element, .. }
            | Kernel::ForwardMoments { element, .. }
            | Kernel::ForwardApply { element, .. }
            | Kernel::ForwardColumns { element, .. }
            | Kernel::ForwardApplyColumns { element, .. } => Some(element),
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
                writes.extend(save.then_some(Binding::Moments));
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
        }
        let reads = reads.into_iter().map(|binding| (binding, false));
        let mut bindings: Vec<_> = reads.chain(writes.into_iter().map(|binding| (binding, true))).collect();
        bindings.sort();
        bindings
    }
}
