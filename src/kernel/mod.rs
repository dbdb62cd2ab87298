//! The closed set of kernels: which WGSL pieces make each one up, what it binds, and its uniform.
//!
//! A kernel is a concatenation of pieces. Several pieces declare the same names, and a kernel links one of each:
//! `element_*` is how activations are stored, `team_*` who works on a row, `parameters_*` which parameters there are.

use bytemuck::{Pod, Zeroable};

use crate::dtype::DType;

mod all;
mod bindings;
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

/// What a backward over blocks of rows has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowsFrom {
    /// Whole rows, whose coefficients it finds itself.
    Own,
    /// The rows' coefficients.
    Stored,
    /// The rows' statistics: it writes no dx.
    Statistics,
}

/// Which sums a backward over whole rows keeps, for the gradients of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keep {
    /// None.
    Nothing,
    /// Those of a row, which is of one channel.
    Rows,
    /// Those of each channel of a row.
    Channels,
    /// Those of each column over a team's rows.
    Columns,
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

/// What becomes of a row's moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Save {
    /// Nothing.
    Nothing,
    /// They are kept, for running statistics of instances.
    Moments,
    /// The statistics that they give are kept, for a backward.
    Statistics,
}

/// Where a kernel finds the statistics of a row.
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
    /// Whole rows: read once, summed, written. `units` registers per lane; `track` moves running statistics.
    ForwardRow { team: Team, element: Element, units: u32, parameters: Parameters, save: Save, track: bool },
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
    /// Whole rows: read once, summed, their dx written.
    BackwardRow { team: Team, element: Element, units: u32, parameters: Parameters, keep: Keep },
    /// Sums over pieces of rows; weighted by `parameters`, which have no bias. From running statistics, which are
    /// constants, dx too.
    BackwardSums { team: Team, element: Element, units: u32, parameters: Parameters, from: StatisticsFrom },
    /// Sums over columns. From running statistics dx too.
    BackwardColumns { element: Element, parameters: Parameters, from: StatisticsFrom },
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
    BackwardRows { element: Element, units: u32, parameters: Parameters, rows: RowsFrom },
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
    Dy = 13,
    Dx = 14,
    Sums = 15,
    Coefficients = 16,
    WeightGradient = 17,
    BiasGradient = 18,
    AxisGradients = 19,
    MeanWeightGradient = 20,
    VarWeightGradient = 21,
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
    pub channel_stride: u32,
    pub channel_run: u32,
    pub channel_run_stride: u32,
    pub channel_units: u32,
    pub channel_first: u32,
    pub sum_parts: u32,
    pub zero: u32,
    pub start: u32,
    pub elements: u32,
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

impl Parameters {
    /// The same without a bias.
    pub fn without_bias(self) -> Parameters {
        match self {
            Parameters::Both => Parameters::Weight,
            Parameters::BothQuads => Parameters::WeightQuads,
            parameters => parameters,
        }
    }
}

fn settle_if(track: bool) -> Settle {
    if track { Settle::Track } else { Settle::None }
}
