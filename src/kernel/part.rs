//! The pieces in `shaders/part`: one by one those that all share, and of each folder of alternatives the one that is chosen.

use super::alternatives::{
    CoefficientsFrom, Element, KeptSums, Parameters, RunningStatistics, Save, StatisticsFrom, Team,
};
use super::piece::{Piece, piece};
use crate::dtype::DType;

pub(super) const AFFINE: &Piece = piece!("part/common/affine");
pub(super) const AXES: &Piece = piece!("part/common/axes", reads: [Axes]);
pub(super) const COEFFICIENTS: &Piece = piece!("part/common/coefficients");
pub(super) const COLUMNS: &Piece = piece!("part/common/columns");
pub(super) const COLUMN_SUMS: &Piece = piece!("part/common/column_sums");
pub(super) const DEVIATION: &Piece = piece!("part/common/deviation");
pub(super) const DY: &Piece = piece!("part/common/dy", reads: [Dy]);
pub(super) const EDGES: &Piece = piece!("part/common/edges");
pub(super) const FOR_EACH_UNIT: &Piece = piece!("part/common/for_each_unit");
pub(super) const FULL: &Piece = piece!("part/common/full");
pub(super) const HELD_ROW: &Piece = piece!("part/common/held_row");
pub(super) const INSTANCE_MOMENTS: &Piece = piece!("part/common/instance_moments");
pub(super) const ITEMS: &Piece = piece!("part/common/items");
pub(super) const LANE_SUMS: &Piece = piece!("part/common/lane_sums");
pub(super) const MOMENTS: &Piece = piece!("part/common/moments");
pub(super) const NORMALIZE: &Piece = piece!("part/common/normalize");
pub(super) const OPAQUE: &Piece = piece!("part/common/opaque");
pub(super) const PARAMETER: &Piece = piece!("part/common/parameter");
pub(super) const PARAMS: &Piece = piece!("part/common/params", reads: [Params]);
pub(super) const SEGMENT: &Piece = piece!("part/common/segment");
pub(super) const SLICE: &Piece = piece!("part/common/slice");
pub(super) const STATISTICS_OUT: &Piece = piece!("part/common/statistics_out", writes: [Statistics]);
pub(super) const SUMS: &Piece = piece!("part/common/sums");
pub(super) const TEAM: &Piece = piece!("part/common/team");
pub(super) const INSTANCE_GRADIENTS: &Piece = piece!("part/common/instance_gradients");
pub(super) const TILE: &Piece = piece!("part/common/tile");
pub(super) const TWO_SUM: &Piece = piece!("part/common/two_sum");
pub(super) const UPDATE_RUNNING: &Piece = piece!("part/common/update_running", writes: [RunningMean, RunningVar]);
pub(super) const WALK: &Piece = piece!("part/common/walk");
pub(super) const X: &Piece = piece!("part/common/x", reads: [X]);

pub(super) const PARTIAL_MOMENTS: &Piece = piece!("part/partial/moments");
pub(super) const PARTIAL_SUMS: &Piece = piece!("part/partial/sums");

pub(super) const MOMENTS_IN: &Piece = piece!("part/moments_buffer/read", reads: [Moments]);
pub(super) const MOMENTS_OUT: &Piece = piece!("part/moments_buffer/write", writes: [Moments]);
pub(super) const SUMS_IN: &Piece = piece!("part/sums_buffer/read", reads: [Sums]);
pub(super) const SUMS_OUT: &Piece = piece!("part/sums_buffer/write", writes: [Sums]);

pub(super) const Y: &Piece = piece!("part/output/buffer/y", writes: [Y]);
pub(super) const DX: &Piece = piece!("part/output/buffer/dx", writes: [Dx]);

/// dx, where it is written.
pub(super) fn dx_if(written: bool) -> &'static Piece {
    if written { DX } else { piece!("part/output/none") }
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

    pub(super) fn pieces(self) -> [&'static Piece; 5] {
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
        [unit, values, storage, SLICE, DEVIATION]
    }

    /// For units that may lie in two rows.
    pub(super) fn straddling_piece(self) -> &'static Piece {
        let words = self.writes() && self.width == 2;
        if words { piece!("part/straddling/words") } else { piece!("part/straddling/none") }
    }
}

impl Parameters {
    pub(super) fn piece(self) -> &'static Piece {
        match self {
            Parameters::None => piece!("part/parameters/none"),
            Parameters::Weight => piece!("part/parameters/weight", reads: [Weight]),
            Parameters::Both => piece!("part/parameters/both", reads: [Weight, Bias]),
            Parameters::WeightQuads => piece!("part/parameters/quads/weight", reads: [Weight]),
            Parameters::BothQuads => piece!("part/parameters/quads/both", reads: [Weight, Bias]),
        }
    }

    /// To look them up for units of `element`.
    pub(super) fn unit_pieces(self, element: Element) -> [&'static Piece; 4] {
        let quads = matches!(self, Parameters::WeightQuads | Parameters::BothQuads);
        let neighbours = match (quads, element.width) {
            (true, 4) => piece!("part/neighbours/quads_4"),
            (true, _) => piece!("part/neighbours/quads_8"),
            (false, _) => piece!("part/neighbours/each"),
        };
        [self.piece(), neighbours, PARAMETER, AFFINE]
    }

    /// To write their gradients.
    pub(super) fn gradients_piece(self) -> &'static Piece {
        match self {
            Parameters::None => piece!("part/store_gradients/none"),
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

/// To store the coefficients of rows, if there are any to find.
pub(super) fn store_coefficients_if(rows: bool) -> &'static [&'static Piece] {
    if rows {
        &[STATISTICS_STORED, piece!("part/store_coefficients/rows", writes: [Coefficients])]
    } else {
        &[piece!("part/store_coefficients/none")]
    }
}
