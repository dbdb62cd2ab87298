//! The pieces in `shaders/part`: one by one those that all share, and of each folder of alternatives the one that is chosen.

use super::alternatives::{
    CoefficientsFrom, Element, KeptSums, Parameters, RunningStatistics, Save, StatisticsFrom, Team,
};
use super::binding::Binding;
use super::piece::{Piece, piece};
use crate::dtype::DType;

pub(super) const AFFINE: Piece = piece!("part/common/affine");
pub(super) const AXES: Piece = piece!("part/common/axes").reads(&[Binding::Axes]);
pub(super) const COEFFICIENTS: Piece = piece!("part/common/coefficients");
pub(super) const COLUMNS: Piece = piece!("part/common/columns");
pub(super) const COLUMN_SUMS: Piece = piece!("part/common/column_sums");
pub(super) const DEVIATION: Piece = piece!("part/common/deviation");
pub(super) const DY: Piece = piece!("part/common/dy").reads(&[Binding::Dy]);
pub(super) const FOR_EACH_UNIT: Piece = piece!("part/common/for_each_unit");
pub(super) const FULL: Piece = piece!("part/common/full");
pub(super) const HELD_ROW: Piece = piece!("part/common/held_row");
pub(super) const INSTANCE_MOMENTS: Piece = piece!("part/common/instance_moments");
pub(super) const ITEMS: Piece = piece!("part/common/items");
pub(super) const LANE_SUMS: Piece = piece!("part/common/lane_sums");
pub(super) const MOMENTS: Piece = piece!("part/common/moments");
pub(super) const NORMALIZE: Piece = piece!("part/common/normalize");
pub(super) const OPAQUE: Piece = piece!("part/common/opaque");
pub(super) const PARAMETER: Piece = piece!("part/common/parameter");
pub(super) const PARAMS: Piece = piece!("part/common/params").reads(&[Binding::Params]);
pub(super) const SEGMENT: Piece = piece!("part/common/segment");
pub(super) const SLICE: Piece = piece!("part/common/slice");
pub(super) const STATISTICS_OUT: Piece = piece!("part/common/statistics_out").writes(&[Binding::Statistics]);
pub(super) const SUMS: Piece = piece!("part/common/sums");
pub(super) const TEAM: Piece = piece!("part/common/team");
pub(super) const INSTANCE_GRADIENTS: Piece = piece!("part/common/instance_gradients");
pub(super) const TILE: Piece = piece!("part/common/tile");
pub(super) const TWO_SUM: Piece = piece!("part/common/two_sum");
pub(super) const UPDATE_RUNNING: Piece =
    piece!("part/common/update_running").writes(&[Binding::RunningMean, Binding::RunningVar]);
pub(super) const WALK: Piece = piece!("part/common/walk");
pub(super) const X: Piece = piece!("part/common/x").reads(&[Binding::X]);

pub(super) const PARTIAL_MOMENTS: Piece = piece!("part/partial/moments");
pub(super) const PARTIAL_SUMS: Piece = piece!("part/partial/sums");

pub(super) const MOMENTS_IN: Piece = piece!("part/moments_buffer/read").reads(&[Binding::Moments]);
pub(super) const MOMENTS_OUT: Piece = piece!("part/moments_buffer/write").writes(&[Binding::Moments]);
pub(super) const SUMS_IN: Piece = piece!("part/sums_buffer/read").reads(&[Binding::Sums]);
pub(super) const SUMS_OUT: Piece = piece!("part/sums_buffer/write").writes(&[Binding::Sums]);

pub(super) const Y: Piece = piece!("part/output/buffer/y").writes(&[Binding::Y]);
pub(super) const DX: Piece = piece!("part/output/buffer/dx").writes(&[Binding::Dx]);

/// dx, where it is written.
pub(super) fn dx_if(written: bool) -> Piece {
    if written { DX } else { piece!("part/output/none") }
}

/// Registers of a lane.
pub(super) fn units(units: u32) -> Piece {
    match units {
        2 => piece!("part/units/2"),
        8 => piece!("part/units/8"),
        _ => piece!("part/units/16"),
    }
}

/// Coefficients of dx; those that take `constants` as what they are, if any.
fn coefficients_of(constants: Option<StatisticsFrom>) -> Vec<Piece> {
    match constants {
        Some(from) => [from.pieces(), vec![piece!("part/coefficients/constant")]].concat(),
        None => vec![piece!("part/coefficients/stored").reads(&[Binding::Coefficients])],
    }
}

/// Coefficients of dx, where `running` statistics are constants.
pub(super) fn coefficients(running: bool) -> Vec<Piece> {
    coefficients_of(running.then_some(StatisticsFrom::Running))
}

impl Team {
    pub(super) fn pieces(self) -> Vec<Piece> {
        let own = match self {
            Team::Workgroup => piece!("part/team/workgroup"),
            Team::Subgroup => piece!("part/team/subgroup"),
            Team::Invocation => piece!("part/team/invocation"),
        };
        vec![own, TEAM]
    }
}

impl Element {
    pub(super) fn pieces(self) -> Vec<Piece> {
        let word = match self.dtype {
            DType::F32 => vec![],
            DType::F16 => vec![piece!("part/word/f16")],
            DType::BF16 => vec![piece!("part/word/bf16")],
        };
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
        [word, vec![unit, values, storage, SLICE, DEVIATION]].concat()
    }

    /// For units that may lie in two rows.
    pub(super) fn straddling_piece(self) -> Piece {
        let words = self.writes() && self.width == 2;
        if words { piece!("part/straddling/words") } else { piece!("part/straddling/none") }
    }
}

impl Parameters {
    pub(super) fn piece(self) -> Piece {
        match self {
            Parameters::None => piece!("part/parameters/none"),
            Parameters::Weight => piece!("part/parameters/weight").reads(&[Binding::Weight]),
            Parameters::Both => piece!("part/parameters/both").reads(&[Binding::Weight, Binding::Bias]),
            Parameters::WeightQuads => piece!("part/parameters/quads/weight").reads(&[Binding::Weight]),
            Parameters::BothQuads => piece!("part/parameters/quads/both").reads(&[Binding::Weight, Binding::Bias]),
        }
    }

    /// To look them up for units of `element`.
    pub(super) fn unit_pieces(self, element: Element) -> Vec<Piece> {
        let quads = matches!(self, Parameters::WeightQuads | Parameters::BothQuads);
        let neighbours = match (quads, element.width) {
            (true, 4) => piece!("part/neighbours/quads_4"),
            (true, _) => piece!("part/neighbours/quads_8"),
            (false, _) => piece!("part/neighbours/each"),
        };
        vec![self.piece(), neighbours, PARAMETER, AFFINE]
    }

    /// To write their gradients.
    pub(super) fn gradients_piece(self) -> Piece {
        match self {
            Parameters::None => piece!("part/store_gradients/none"),
            Parameters::Weight | Parameters::WeightQuads => {
                piece!("part/store_gradients/weight").writes(&[Binding::WeightGradient])
            }
            Parameters::Both | Parameters::BothQuads => {
                piece!("part/store_gradients/both").writes(&[Binding::WeightGradient, Binding::BiasGradient])
            }
        }
    }
}

impl StatisticsFrom {
    pub(super) fn pieces(self) -> Vec<Piece> {
        match self {
            StatisticsFrom::Stored => vec![piece!("part/statistics/stored").reads(&[Binding::Statistics])],
            StatisticsFrom::Running => {
                vec![piece!("part/statistics/running").reads(&[Binding::RunningMean, Binding::RunningVar])]
            }
            StatisticsFrom::Mixed => vec![MOMENTS_IN, INSTANCE_MOMENTS, AXES, piece!("part/statistics/mixed")],
        }
    }
}

impl RunningStatistics {
    pub(super) fn pieces(self) -> Vec<Piece> {
        let batch = match self {
            RunningStatistics::None | RunningStatistics::Update => piece!("part/batch_moments/input"),
            RunningStatistics::Use => {
                piece!("part/batch_moments/running").reads(&[Binding::RunningMean, Binding::RunningVar])
            }
        };
        [track_running_if(self == RunningStatistics::Update), vec![batch]].concat()
    }
}

/// The running statistics, if they follow the batch's.
pub(super) fn track_running_if(track: bool) -> Vec<Piece> {
    if track {
        vec![UPDATE_RUNNING, piece!("part/track_running/update").writes(&[Binding::NumBatchesTracked])]
    } else {
        vec![piece!("part/track_running/none")]
    }
}

impl Save {
    pub(super) fn pieces(self) -> Vec<Piece> {
        match self {
            Save::Nothing => vec![piece!("part/save/none")],
            Save::Moments => vec![MOMENTS_OUT, piece!("part/save/moments")],
            Save::Statistics => vec![STATISTICS_OUT, piece!("part/save/statistics")],
        }
    }
}

impl KeptSums {
    pub(super) fn pieces(self) -> Vec<Piece> {
        const WEIGHTED: Piece = piece!("part/row_sums/weighted");
        const NO_COLUMNS: Piece = piece!("part/team_columns/none");
        match self {
            KeptSums::Nothing => vec![WEIGHTED, NO_COLUMNS],
            KeptSums::Rows => vec![SUMS_OUT, piece!("part/row_sums/stored"), NO_COLUMNS],
            KeptSums::Channels => vec![SUMS_OUT, piece!("part/row_sums/by_channel"), NO_COLUMNS],
            KeptSums::Columns => vec![SUMS_OUT, WEIGHTED, COLUMN_SUMS, piece!("part/team_columns/stored")],
        }
    }
}

impl CoefficientsFrom {
    pub(super) fn pieces(self) -> Vec<Piece> {
        const STORED: Piece = piece!("part/block_coefficients/stored");
        match self {
            CoefficientsFrom::Computed => {
                [StatisticsFrom::Stored.pieces(), vec![LANE_SUMS, piece!("part/block_coefficients/computed")]].concat()
            }
            CoefficientsFrom::Stored => [coefficients_of(None), vec![STORED]].concat(),
            CoefficientsFrom::Statistics => [coefficients_of(Some(StatisticsFrom::Stored)), vec![STORED]].concat(),
        }
    }
}

/// To store the coefficients of rows, if there are any to find.
pub(super) fn store_coefficients_if(rows: bool) -> Vec<Piece> {
    if rows {
        let store = piece!("part/store_coefficients/rows").writes(&[Binding::Coefficients]);
        [StatisticsFrom::Stored.pieces(), vec![store]].concat()
    } else {
        vec![piece!("part/store_coefficients/none")]
    }
}
