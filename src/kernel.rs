//! The closed set of kernels: which WGSL pieces make each one up, what it binds, and its uniform.
//!
//! A kernel is a concatenation of pieces. Several pieces declare the same names, and a kernel links one of each:
//! `element_*` is how activations are stored, `team_*` who works on a row, `parameters_*` which parameters there are.

use bytemuck::{Pod, Zeroable};

use crate::dtype::DType;

/// Who works on one row together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Team {
    /// A workgroup, meeting in shared memory.
    Workgroup,
    /// A subgroup, without barriers.
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
    ForwardColumns { element: Element, units: u32 },
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
    pub pad: [u32; 2],
}

macro_rules! piece {
    ($file:literal) => {
        include_str!(concat!("../shaders/", $file, ".wgsl"))
    };
}

impl Team {
    /// All of them.
    pub const ALL: [Team; 3] = [Team::Workgroup, Team::Subgroup, Team::Invocation];

    fn piece(self) -> &'static str {
        match self {
            Team::Workgroup => piece!("part/team_workgroup"),
            Team::Subgroup => piece!("part/team_subgroup"),
            Team::Invocation => piece!("part/team_invocation"),
        }
    }
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

    fn pieces(self) -> [&'static str; 3] {
        let word = match self.dtype {
            DType::F32 => "",
            DType::F16 => piece!("part/word_f16"),
            DType::BF16 => piece!("part/word_bf16"),
        };
        let unit = match (self.dtype, self.width) {
            (DType::F32, 4) => piece!("part/element_32x4"),
            (DType::F32, _) => piece!("part/element_32x1"),
            (_, 8) => piece!("part/element_16x8"),
            (_, 2) => piece!("part/element_16x2"),
            (_, _) => piece!("part/element_16x1"),
        };
        // Eight elements are a matrix, whose product is another.
        let values = if self.width == 8 { "" } else { piece!("part/values") };
        [word, unit, values]
    }
}

impl Parameters {
    fn piece(self) -> &'static str {
        match self {
            Parameters::None => piece!("part/parameters_none"),
            Parameters::Weight => piece!("part/parameters_weight"),
            Parameters::Both => piece!("part/parameters_both"),
            Parameters::WeightQuads => piece!("part/parameters_weight_quads"),
            Parameters::BothQuads => piece!("part/parameters_both_quads"),
        }
    }

    fn bindings(self) -> &'static [Binding] {
        match self {
            Parameters::None => &[],
            Parameters::Weight | Parameters::WeightQuads => &[Binding::Weight],
            Parameters::Both | Parameters::BothQuads => &[Binding::Weight, Binding::Bias],
        }
    }

    fn in_quads(self) -> bool {
        matches!(self, Parameters::WeightQuads | Parameters::BothQuads)
    }

    /// The pieces of a kernel that looks parameters up for units of `width`.
    fn unit_pieces(self, width: u32) -> [&'static str; 3] {
        let neighbours = match (self.in_quads(), width) {
            (true, 4) => piece!("part/neighbours_4"),
            (true, _) => piece!("part/neighbours_8"),
            (false, _) => piece!("part/neighbours_each"),
        };
        [self.piece(), neighbours, piece!("part/affine")]
    }
}

impl StatisticsFrom {
    fn pieces(self) -> &'static [&'static str] {
        match self {
            StatisticsFrom::Stored => &[piece!("part/statistics_stored")],
            StatisticsFrom::Running => &[piece!("part/statistics_running")],
            StatisticsFrom::Mixed => {
                &[piece!("part/partials"), piece!("part/instances"), piece!("part/statistics_mixed")]
            }
        }
    }

    fn bindings(self) -> &'static [Binding] {
        match self {
            StatisticsFrom::Stored => &[Binding::Statistics],
            StatisticsFrom::Running => &[Binding::RunningMean, Binding::RunningVar],
            StatisticsFrom::Mixed => &[Binding::Moments, Binding::Axes],
        }
    }
}

impl Settle {
    fn pieces(self) -> &'static [&'static str] {
        match self {
            Settle::None => &[piece!("part/settle_none")],
            Settle::Track => &[piece!("part/running"), piece!("part/settle_track")],
            Settle::Running => &[piece!("part/settle_running")],
        }
    }

    fn bindings(self) -> &'static [Binding] {
        match self {
            Settle::None => &[],
            Settle::Track => &[Binding::RunningMean, Binding::RunningVar, Binding::NumBatchesTracked],
            Settle::Running => &[Binding::RunningMean, Binding::RunningVar],
        }
    }
}

/// Registers that a tile holds; each has its piece.
pub const UNITS: [u32; 3] = [2, 8, 32];

fn units_piece(units: u32) -> &'static str {
    match units {
        2 => piece!("part/units_2"),
        8 => piece!("part/units_8"),
        _ => piece!("part/units_32"),
    }
}

fn settle_if(track: bool) -> Settle {
    if track { Settle::Track } else { Settle::None }
}

impl Kernel {
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

    /// The WGSL of this kernel. `directives` come first: browsers require `enable subgroups;` where naga refuses it.
    pub fn link(self, directives: &str) -> String {
        let mut pieces = vec![directives, piece!("part/params"), piece!("part/moments"), self.team().piece()];
        if let Some(element) = self.element() {
            pieces.extend(element.pieces());
        }
        match self {
            Kernel::ForwardRow { units, parameters, save, track, element, .. } => {
                pieces.extend([piece!("part/walk"), units_piece(units), piece!("part/tile")]);
                pieces.extend(parameters.unit_pieces(element.width));
                pieces.push(if save { piece!("part/partials_out") } else { piece!("part/save_none") });
                pieces.extend(settle_if(track).pieces());
                pieces.push(piece!("forward_row"));
            }
            Kernel::ForwardMoments { units, .. } => {
                pieces.extend([piece!("part/walk"), units_piece(units), piece!("part/tile")]);
                pieces.extend([piece!("part/partials_out"), piece!("forward_moments")]);
            }
            Kernel::ForwardCombine { track, .. } => {
                pieces.extend([piece!("part/walk"), piece!("part/partials"), piece!("part/statistics_out")]);
                pieces.extend(settle_if(track).pieces());
                pieces.push(piece!("forward_combine"));
            }
            Kernel::ForwardInstances { .. } => {
                pieces.extend([piece!("part/partials"), piece!("part/instances"), piece!("part/statistics_out")]);
                pieces.extend([piece!("part/running"), piece!("forward_instances")]);
            }
            Kernel::ForwardAxes { settle, .. } => {
                pieces.extend([piece!("part/partials"), piece!("part/instances")]);
                pieces.extend(settle.pieces());
                pieces.push(piece!("forward_axes"));
            }
            Kernel::ForwardApply { parameters, from, element, .. } => {
                pieces.extend(parameters.unit_pieces(element.width));
                pieces.extend(from.pieces());
                pieces.push(piece!("forward_apply"));
            }
            Kernel::ForwardColumns { units, .. } => {
                pieces.extend([units_piece(units), piece!("part/partials_out"), piece!("forward_columns")]);
            }
            Kernel::ForwardApplyColumns { parameters, from, .. } => {
                pieces.push(parameters.piece());
                pieces.extend(from.pieces());
                pieces.push(piece!("forward_apply_columns"));
            }
        }
        pieces.concat()
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

    /// A name for this permutation, in words that files can be called.
    pub fn permutation(self) -> String {
        let fields = format!("{self:?}").to_lowercase();
        let skip = |word: &str| word.is_empty() || ["element", "dtype", "width", "team"].contains(&word);
        let mut words: Vec<&str> = fields.split(|c: char| !c.is_alphanumeric()).filter(|word| !skip(word)).collect();
        words[0] = self.name();
        words.join("-")
    }

    /// Every kernel that a plan can pick.
    pub fn all() -> Vec<Kernel> {
        let elements: Vec<Element> = [DType::F32, DType::F16, DType::BF16]
            .into_iter()
            .flat_map(|dtype| Element::widths(dtype).iter().map(move |&width| Element { dtype, width }))
            .collect();
        let mut all: Vec<Kernel> =
            elements.iter().flat_map(|&element| UNITS.map(|units| Kernel::ForwardColumns { element, units })).collect();
        for team in Team::ALL {
            all.push(Kernel::ForwardInstances { team });
            all.extend([false, true].map(|track| Kernel::ForwardCombine { team, track }));
            all.extend(
                [Settle::None, Settle::Track, Settle::Running].map(|settle| Kernel::ForwardAxes { team, settle }),
            );
            for &element in &elements {
                all.extend(UNITS.map(|units| Kernel::ForwardMoments { team, element, units }));
            }
        }
        for &element in elements.iter().filter(|element| element.writes()) {
            let scalars = [Parameters::None, Parameters::Weight, Parameters::Both];
            let quads = [Parameters::WeightQuads, Parameters::BothQuads];
            for from in [StatisticsFrom::Stored, StatisticsFrom::Running] {
                all.extend(scalars.map(|parameters| Kernel::ForwardApplyColumns { element, parameters, from }));
            }
            for parameters in scalars.into_iter().chain(quads.into_iter().filter(|_| element.width >= 4)) {
                for team in Team::ALL {
                    for from in [StatisticsFrom::Stored, StatisticsFrom::Running, StatisticsFrom::Mixed] {
                        all.push(Kernel::ForwardApply { team, element, parameters, from });
                    }
                    for units in UNITS {
                        for (save, track) in [(false, false), (true, false), (false, true)] {
                            all.push(Kernel::ForwardRow { team, element, units, parameters, save, track });
                        }
                    }
                }
            }
        }
        all
    }
}
