//! The pieces in `shaders/part`: one by one those that all share, and of each folder of alternatives the one that is chosen.

use super::alternatives::{
    Beside, CoefficientsFrom, Element, KeptSums, Parameters, RunningStatistics, Save, StatisticsFrom, Team,
};
use super::piece::{Link, Piece, piece};
use crate::dtype::DType;

pub(super) const ACTIVATION: &Piece = piece!("part/common/activation");
pub(super) const AFFINE: &Piece = piece!("part/common/affine");
pub(super) const AXES: &Piece = piece!("part/common/axes", reads: [Axes]);
pub(super) const COEFFICIENTS: &Piece = piece!("part/common/coefficients");
pub(super) const COLUMNS: &Piece = piece!("part/common/columns");
pub(super) const COLUMN_SUMS: &Piece = piece!("part/common/column_sums");
pub(super) const DEVIATION: &Piece = piece!("part/common/deviation");
pub(super) const EDGES: &Piece = piece!("part/common/edges");
pub(super) const FOR_EACH_UNIT: &Piece = piece!("part/common/for_each_unit");
pub(super) const FULL: &Piece = piece!("part/common/full");
pub(super) const GELU: &Piece = piece!("part/common/gelu");
pub(super) const HELD: &Piece = piece!("part/common/held");
pub(super) const HELD_ROW: &Piece = piece!("part/common/held_row");
pub(super) const INSTANCE_MOMENTS: &Piece = piece!("part/common/instance_moments");
pub(super) const ITEMS: &Piece = piece!("part/common/items");
pub(super) const LANE_SUMS: &Piece = piece!("part/common/lane_sums");
pub(super) const MOMENTS: &Piece = piece!("part/common/moments");
pub(super) const NORMALIZE: &Piece = piece!("part/common/normalize");
pub(super) const OPAQUE: &Piece = piece!("part/common/opaque");
pub(super) const PARAMETER: &Piece = piece!("part/common/parameter");
pub(super) const PARAMS: &Piece = piece!("part/common/params", reads: [Params]);
pub(super) const PLACES: &Piece = piece!("part/common/places");
pub(super) const SEGMENT: &Piece = piece!("part/common/segment");
pub(super) const PITCH: &Piece = piece!("part/common/pitch");
pub(super) const SLICE: &Piece = piece!("part/common/slice");
pub(super) const STATISTICS_OUT: &Piece = piece!("part/common/statistics_out", writes: [Statistics]);
pub(super) const SUMS: &Piece = piece!("part/common/sums");
pub(super) const TEAM: &Piece = piece!("part/common/team");
pub(super) const INSTANCE_GRADIENTS: &Piece = piece!("part/common/instance_gradients");
pub(super) const TILE: &Piece = piece!("part/common/tile");
pub(super) const TWO_SUM: &Piece = piece!("part/common/two_sum");
pub(super) const UPDATE_RUNNING: &Piece = piece!("part/common/update_running", writes: [RunningMean, RunningVar]);
pub(super) const WALK: &Piece = piece!("part/common/walk");

pub(super) const X: &Piece = piece!("part/source/x", reads: [X]);
pub(super) const DY: &Piece = piece!("part/gradient/dy", reads: [Dy]);
pub(super) const FINISH_NONE: &Piece = piece!("part/finish/none");
const INDEX_OF_LAYER: &Piece = piece!("part/parameter_index/layer");
const MODULATION_NONE: &Piece = piece!("part/modulation/none");

pub(super) const PARTIAL_MOMENTS: &Piece = piece!("part/partial/moments");
pub(super) const PARTIAL_SUMS: &Piece = piece!("part/partial/sums");

pub(super) const MOMENTS_IN: &Piece = piece!("part/moments_buffer/read", reads: [Moments]);
pub(super) const MOMENTS_OUT: &Piece = piece!("part/moments_buffer/write", writes: [Moments]);
pub(super) const SUMS_IN: &Piece = piece!("part/sums_buffer/read", reads: [Sums]);
pub(super) const SUMS_OUT: &Piece = piece!("part/sums_buffer/write", writes: [Sums]);

/// y, and x that may be in its place.
pub(super) const Y_AND_X: [&Piece; 2] =
    [piece!("part/output/buffer/y", writes: [Y]), piece!("part/source/x_or_output", reads: [X])];
/// dx, and dy that may be in its place.
pub(super) const DX_AND_DY: [&Piece; 2] =
    [piece!("part/output/buffer/dx", writes: [Dx]), piece!("part/gradient/dy_or_output", reads: [Dy])];
pub(super) const DY_OUT: &Piece = piece!("part/output/buffer/dy", writes: [Dy]);

/// dx, where it is written, and dy.
pub(super) fn dx_if(written: bool) -> [&'static Piece; 2] {
    if written { DX_AND_DY } else { [piece!("part/output/none"), DY] }
}

/// Registers of a lane.
pub(super) fn units(units: u32) -> &'static Piece {
    match units {
        1 => piece!("part/units/1"),
        2 => piece!("part/units/2"),
        4 => piece!("part/units/4"),
        8 => piece!("part/units/8"),
        _ => piece!("part/units/16"),
    }
}

const COEFFICIENTS_STORED: &Piece = piece!("part/coefficients/stored", reads: [Coefficients]);
const COEFFICIENTS_CONSTANT: &Piece = piece!("part/coefficients/constant");

/// Coefficients of dx, where `running` statistics are constants.
pub(super) fn coefficients(running: bool) -> &'static [&'static Piece] {
    if running { &[STATISTICS_RUNNING, COEFFICIENTS_CONSTANT] } else { &[COEFFICIENTS_STORED] }
}

impl Team {
    pub(super) fn pieces(self) -> [&'static Piece; 2] {
        let own = match self {
            Team::Workgroup => piece!("part/team/workgroup"),
            Team::Subgroup => piece!("part/team/subgroup"),
            Team::Invocation => piece!("part/team/invocation"),
        };
        [own, TEAM]
    }
}

impl Element {
    /// What two 16-bit elements in a word mean; `Target` may have others of f16.
    pub(super) fn word_pieces(self) -> &'static [&'static Piece] {
        match self.dtype {
            DType::F32 => &[],
            DType::F16 => &[piece!("part/decode/f16"), piece!("part/encode/f16")],
            DType::BF16 => &[piece!("part/decode/bf16"), piece!("part/encode/bf16")],
        }
    }

    pub(super) fn pieces(self) -> [&'static Piece; 6] {
        let unit = match (self.dtype, self.width) {
            (DType::F32, 4) => piece!("part/element/32x4"),
            (DType::F32, _) => piece!("part/element/32x1"),
            (_, 8) => piece!("part/element/16x8"),
            (_, 2) => piece!("part/element/16x2"),
            (_, _) => piece!("part/element/16x1"),
        };
        // Eight elements are a matrix, whose product is another.
        let values = if self.width == 8 { piece!("part/values/matrix") } else { piece!("part/values/vector") };
        // Of 16-bit types, one element is half of what a buffer holds.
        let storage = if self.writes() { piece!("part/storage/unit") } else { piece!("part/storage/half") };
        [unit, values, storage, SLICE, PITCH, DEVIATION]
    }

    /// For units that may lie in two rows.
    pub(super) fn straddling_piece(self) -> &'static Piece {
        let words = self.writes() && self.width == 2;
        if words { piece!("part/straddling/words") } else { piece!("part/straddling/none") }
    }
}

impl Parameters {
    /// Those of a layer alone, to be looked up one by one.
    pub(super) fn pieces(self) -> [&'static Piece; 3] {
        [self.own(), INDEX_OF_LAYER, MODULATION_NONE]
    }

    fn own(self) -> &'static Piece {
        match self {
            Parameters::NoneQuads => piece!("part/parameters/quads/none"),
            Parameters::None => piece!("part/parameters/none"),
            Parameters::Weight => piece!("part/parameters/weight", reads: [Weight]),
            Parameters::Both => piece!("part/parameters/both", reads: [Weight, Bias]),
            Parameters::WeightQuads => piece!("part/parameters/quads/weight", reads: [Weight]),
            Parameters::BothQuads => piece!("part/parameters/quads/both", reads: [Weight, Bias]),
        }
    }

    /// To look them up for units of `element`.
    pub(super) fn unit_pieces(self, element: Element) -> [&'static Piece; 6] {
        self.modulated_pieces(element, false)
    }

    pub(super) fn modulated_pieces(self, element: Element, modulated: bool) -> [&'static Piece; 6] {
        let floats = piece!("part/modulation/scaled/floats", reads: [ModulationScale, ModulationShift]);
        let float_quads = piece!("part/modulation/quads/floats", reads: [ModulationScale, ModulationShift]);
        let words = piece!("part/modulation/scaled/words", reads: [ModulationScale, ModulationShift]);
        let word_quads = piece!("part/modulation/quads/words", reads: [ModulationScale, ModulationShift]);
        let modulation = match (modulated, self.quads(), element.dtype) {
            (false, false, _) => MODULATION_NONE,
            (false, true, _) => piece!("part/modulation/quads/none"),
            (true, false, DType::F32) => floats,
            (true, true, DType::F32) => float_quads,
            (true, false, _) => words,
            (true, true, _) => word_quads,
        };
        let neighbours = match (self.quads(), element.width) {
            (true, 4) => piece!("part/neighbours/quads_4"),
            (true, _) => piece!("part/neighbours/quads_8"),
            (false, _) => piece!("part/neighbours/each"),
        };
        let index = if modulated { piece!("part/parameter_index/sample") } else { INDEX_OF_LAYER };
        [self.own(), index, modulation, neighbours, PARAMETER, AFFINE]
    }

    /// To write their gradients.
    pub(super) fn gradients_piece(self) -> &'static Piece {
        match self {
            Parameters::None | Parameters::NoneQuads => piece!("part/store_gradients/none"),
            Parameters::Weight | Parameters::WeightQuads => {
                piece!("part/store_gradients/weight", writes: [WeightGradient])
            }
            Parameters::Both | Parameters::BothQuads => {
                piece!("part/store_gradients/both", writes: [WeightGradient, BiasGradient])
            }
        }
    }
}

const STATISTICS_STORED: &Piece = piece!("part/statistics/stored", reads: [Statistics]);
pub(super) const STATISTICS_OWN: &Piece = piece!("part/statistics/own", reads: [Statistics]);
const STATISTICS_RUNNING: &Piece = piece!("part/statistics/running", reads: [RunningMean, RunningVar]);

impl StatisticsFrom {
    pub(super) fn pieces(self) -> &'static [&'static Piece] {
        match self {
            StatisticsFrom::Stored => &[STATISTICS_STORED],
            StatisticsFrom::Running => &[STATISTICS_RUNNING],
            StatisticsFrom::Mixed => &[MOMENTS_IN, INSTANCE_MOMENTS, AXES, piece!("part/statistics/mixed")],
        }
    }
}

const TRACK_NONE: &Piece = piece!("part/track_running/none");
const TRACK_UPDATE: &Piece = piece!("part/track_running/update", writes: [NumBatchesTracked]);

/// The running statistics, if they follow the batch's.
pub(super) fn track_running_if(track: bool) -> &'static [&'static Piece] {
    if track { &[UPDATE_RUNNING, TRACK_UPDATE] } else { &[TRACK_NONE] }
}

impl RunningStatistics {
    pub(super) fn pieces(self) -> &'static [&'static Piece] {
        const INPUT: &Piece = piece!("part/batch_moments/input");
        const RUNNING: &Piece = piece!("part/batch_moments/running", reads: [RunningMean, RunningVar]);
        match self {
            RunningStatistics::None => &[TRACK_NONE, INPUT],
            RunningStatistics::Update => &[UPDATE_RUNNING, TRACK_UPDATE, INPUT],
            RunningStatistics::Use => &[TRACK_NONE, RUNNING],
        }
    }
}

impl Save {
    pub(super) fn pieces(self) -> &'static [&'static Piece] {
        match self {
            Save::Nothing => &[piece!("part/save/none")],
            Save::Moments => &[MOMENTS_OUT, piece!("part/save/moments")],
            Save::Statistics => &[STATISTICS_OUT, piece!("part/save/statistics")],
            Save::Combined => &[piece!("part/save/combined", writes: [Combined])],
        }
    }
}

impl KeptSums {
    pub(super) fn pieces(self) -> &'static [&'static Piece] {
        const WEIGHTED: &Piece = piece!("part/row_sums/weighted");
        const NO_COLUMNS: &Piece = piece!("part/team_columns/none");
        match self {
            KeptSums::Nothing => &[WEIGHTED, NO_COLUMNS],
            KeptSums::Rows => &[SUMS_OUT, piece!("part/row_sums/stored"), NO_COLUMNS],
            KeptSums::Channels => &[SUMS_OUT, piece!("part/row_sums/by_channel"), NO_COLUMNS],
            KeptSums::Columns => &[SUMS_OUT, WEIGHTED, COLUMN_SUMS, piece!("part/team_columns/stored")],
        }
    }
}

impl CoefficientsFrom {
    pub(super) fn pieces(self) -> &'static [&'static Piece] {
        const COMPUTED: &Piece = piece!("part/block_coefficients/computed");
        const STORED: &Piece = piece!("part/block_coefficients/stored");
        match self {
            CoefficientsFrom::Computed => &[STATISTICS_STORED, LANE_SUMS, COMPUTED],
            CoefficientsFrom::Stored => &[COEFFICIENTS_STORED, STORED],
            CoefficientsFrom::Statistics => &[STATISTICS_STORED, COEFFICIENTS_CONSTANT, STORED],
        }
    }
}

/// What is normalized.
pub(super) const INPUT: &Piece = piece!("part/input/x");

/// The same of a kernel that may be of a sum.
pub(super) fn link_input(element: Element, sum: bool, link: &mut Link) {
    if !sum {
        return link(&[INPUT]);
    }
    let addend = match element.width {
        8 => piece!("part/addend/8", reads: [AddBefore]),
        4 => piece!("part/addend/4", reads: [AddBefore]),
        _ => piece!("part/addend/1", reads: [AddBefore]),
    };
    link(&[addend, piece!("part/input/sum")]);
}

/// To keep nothing of what is normalized.
pub(super) const KEPT_NONE: &Piece = piece!("part/kept_sum/none");

/// To find a layer's outputs, unit by unit, from statistics that are known.
pub(super) fn link_outputs(element: Element, from: StatisticsFrom, link: &mut Link) {
    link(&[NORMALIZE, piece!("part/common/outputs"), FOR_EACH_UNIT, PLACES, element.straddling_piece()]);
    link(from.pieces());
}

impl Beside {
    /// Of a kernel that stores outputs.
    pub(super) fn link_output(self, element: Element, parameters: Parameters, link: &mut Link) {
        let kept = if self.sum { piece!("part/kept_sum/stored", writes: [KeptSum]) } else { KEPT_NONE };
        let added = piece!("part/finish/added", reads: [AddAfter]);
        let finish = if self.added { added } else { piece!("part/finish/activated") };
        link(&[kept, GELU, ACTIVATION, finish]);
        link(&parameters.modulated_pieces(element, self.modulated));
    }
}

/// Of a kernel that takes a gradient back to where an activation began, behind a tensor that was `added` or not.
pub(super) fn link_slope(element: Element, parameters: Parameters, added: bool, link: &mut Link) {
    let of_sum = piece!("part/finish/slope_of_sum", reads: [AddAfter, OutputGradient]);
    let alone = piece!("part/finish/slope", reads: [OutputGradient]);
    link(&[KEPT_NONE, GELU, ACTIVATION, piece!("part/common/slope"), if added { of_sum } else { alone }]);
    link(&parameters.unit_pieces(element));
}

/// To store the coefficients of rows, if there are any to find.
pub(super) fn store_coefficients_if(rows: bool) -> &'static [&'static Piece] {
    if rows {
        &[STATISTICS_STORED, piece!("part/store_coefficients/rows", writes: [Coefficients])]
    } else {
        &[piece!("part/store_coefficients/none")]
    }
}
