//! A kernel's text: which pieces are concatenated.

use super::{Element, Keep, Kernel, Parameters, RowsFrom, Save, Settle, StatisticsFrom, Team, settle_if};
use crate::dtype::DType;

macro_rules! piece {
    ($file:literal) => {
        include_str!(concat!("../../shaders/", $file, ".wgsl"))
    };
}

impl Team {
    fn pieces(self) -> [&'static str; 2] {
        let own = match self {
            Team::Workgroup => piece!("part/team/workgroup"),
            Team::Subgroup => piece!("part/team/subgroup"),
            Team::Invocation => piece!("part/team/invocation"),
        };
        [own, piece!("part/common/team")]
    }
}

impl Element {
    fn pieces(self) -> [&'static str; 6] {
        let word = match self.dtype {
            DType::F32 => "",
            DType::F16 => piece!("part/word/f16"),
            DType::BF16 => piece!("part/word/bf16"),
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
        [word, unit, storage, values, piece!("part/common/slice"), piece!("part/common/deviation")]
    }

    /// Of a kernel whose units may lie in two rows.
    fn across_piece(self) -> &'static str {
        let words = self.writes() && self.width == 2;
        if words { piece!("part/straddling/words") } else { piece!("part/straddling/none") }
    }
}

impl Parameters {
    fn piece(self) -> &'static str {
        match self {
            Parameters::None => piece!("part/parameters/none"),
            Parameters::Weight => piece!("part/parameters/weight"),
            Parameters::Both => piece!("part/parameters/both"),
            Parameters::WeightQuads => piece!("part/parameters/quads/weight"),
            Parameters::BothQuads => piece!("part/parameters/quads/both"),
        }
    }

    fn in_quads(self) -> bool {
        matches!(self, Parameters::WeightQuads | Parameters::BothQuads)
    }

    /// The pieces of a kernel that looks parameters up for units of `width`.
    fn unit_pieces(self, width: u32) -> [&'static str; 4] {
        let neighbours = match (self.in_quads(), width) {
            (true, 4) => piece!("part/neighbours/quads_4"),
            (true, _) => piece!("part/neighbours/quads_8"),
            (false, _) => piece!("part/neighbours/each"),
        };
        [self.piece(), neighbours, piece!("part/common/parameter"), piece!("part/common/affine")]
    }

    fn gradients_piece(self) -> &'static str {
        match self {
            Parameters::None => piece!("part/store_gradients/none"),
            Parameters::Weight | Parameters::WeightQuads => piece!("part/store_gradients/weight"),
            Parameters::Both | Parameters::BothQuads => piece!("part/store_gradients/both"),
        }
    }
}

impl StatisticsFrom {
    /// Whether what sums dy up has all that dx needs: with statistics that are constants, dx is dy, scaled.
    pub(super) fn gives_dx(self, element: Element) -> bool {
        self == StatisticsFrom::Running && element.writes()
    }

    fn pieces(self) -> &'static [&'static str] {
        match self {
            StatisticsFrom::Stored => &[piece!("part/statistics/stored")],
            StatisticsFrom::Running => &[piece!("part/statistics/running")],
            StatisticsFrom::Mixed => &[
                piece!("part/moments_buffer/read"),
                piece!("part/common/instance_moments"),
                piece!("part/common/axes"),
                piece!("part/statistics/mixed"),
            ],
        }
    }
}

impl Settle {
    fn pieces(self) -> &'static [&'static str] {
        match self {
            Settle::None => &[piece!("part/track_running/none")],
            Settle::Track => &[piece!("part/common/update_running"), piece!("part/track_running/update")],
            Settle::Running => &[piece!("part/track_running/none")],
        }
    }
}

fn gradient_piece(writes: bool) -> &'static str {
    if writes { piece!("part/output/buffer/dx") } else { piece!("part/output/none") }
}

fn units_piece(units: u32) -> &'static str {
    match units {
        2 => piece!("part/units/2"),
        8 => piece!("part/units/8"),
        _ => piece!("part/units/16"),
    }
}

impl Save {
    fn pieces(self) -> &'static [&'static str] {
        match self {
            Save::Nothing => &[piece!("part/save/none")],
            Save::Moments => &[piece!("part/moments_buffer/write"), piece!("part/save/moments")],
            Save::Statistics => &[piece!("part/common/statistics_out"), piece!("part/save/statistics")],
        }
    }
}

impl Keep {
    fn pieces(self) -> &'static [&'static str] {
        match self {
            Keep::Nothing => &[piece!("part/row_sums/weighted"), piece!("part/team_columns/none")],
            Keep::Rows => {
                &[piece!("part/sums_buffer/write"), piece!("part/row_sums/stored"), piece!("part/team_columns/none")]
            }
            Keep::Channels => &[
                piece!("part/sums_buffer/write"),
                piece!("part/row_sums/by_channel"),
                piece!("part/team_columns/none"),
            ],
            Keep::Columns => &[
                piece!("part/row_sums/weighted"),
                piece!("part/sums_buffer/write"),
                piece!("part/common/column_sums"),
                piece!("part/team_columns/stored"),
            ],
        }
    }
}

impl RowsFrom {
    fn pieces(self) -> Vec<&'static str> {
        let out = gradient_piece(self != RowsFrom::Statistics);
        let known = match self {
            RowsFrom::Own => vec![
                piece!("part/statistics/stored"),
                piece!("part/common/lane_sums"),
                piece!("part/block_coefficients/computed"),
            ],
            RowsFrom::Stored => [coefficients_pieces(None), vec![piece!("part/block_coefficients/stored")]].concat(),
            RowsFrom::Statistics => {
                [coefficients_pieces(Some(StatisticsFrom::Stored)), vec![piece!("part/block_coefficients/stored")]]
                    .concat()
            }
        };
        [vec![out], known].concat()
    }
}

/// What a kernel knows of a row before its dx, which goes through the statistics unless they are taken as constants.
fn coefficients_pieces(constants: Option<StatisticsFrom>) -> Vec<&'static str> {
    match constants {
        Some(from) => [from.pieces(), &[piece!("part/coefficients/constant")]].concat(),
        None => vec![piece!("part/coefficients/stored")],
    }
}

impl Kernel {
    /// The WGSL of this kernel. `directives` come first: browsers require `enable subgroups;` where naga refuses it.
    pub fn link(self, directives: &str) -> String {
        let mut pieces =
            vec![piece!("part/common/params"), piece!("part/common/opaque"), piece!("part/common/moments")];
        if self.is_backward() {
            pieces.extend([
                piece!("part/common/two_sum"),
                piece!("part/common/sums"),
                piece!("part/common/coefficients"),
            ]);
            pieces.push(piece!("part/partial/sums"));
        } else {
            pieces.push(piece!("part/partial/moments"));
        }
        pieces.extend(self.team().pieces());
        if let Some(element) = self.element() {
            pieces.extend(element.pieces());
            pieces.push(piece!("part/common/x"));
            if self.is_backward() {
                pieces.push(piece!("part/common/dy"));
            }
        }
        if self.is_backward() {
            self.link_backward(&mut pieces)
        } else {
            self.link_forward(&mut pieces)
        }
        [directives, &pieces.concat()].concat()
    }

    fn link_forward(self, pieces: &mut Vec<&'static str>) {
        match self {
            Kernel::ForwardRow { units, parameters, save, track, element, .. } => {
                pieces.push(piece!("part/output/buffer/y"));
                pieces.extend([
                    piece!("part/common/walk"),
                    units_piece(units),
                    piece!("part/common/full"),
                    piece!("part/common/tile"),
                ]);
                pieces.extend(parameters.unit_pieces(element.width));
                pieces.push(piece!("part/common/normalize"));
                pieces.extend(save.pieces());
                pieces.extend(settle_if(track).pieces());
                pieces.push(piece!("forward_row"));
            }
            Kernel::ForwardMoments { units, .. } => {
                pieces.extend([
                    piece!("part/common/walk"),
                    units_piece(units),
                    piece!("part/common/full"),
                    piece!("part/common/tile"),
                ]);
                pieces.extend([
                    piece!("part/common/segment"),
                    piece!("part/moments_buffer/write"),
                    piece!("part/save/moments"),
                    piece!("forward_moments"),
                ]);
            }
            Kernel::ForwardCombine { track, .. } => {
                pieces.extend([
                    piece!("part/common/walk"),
                    piece!("part/moments_buffer/read"),
                    piece!("part/common/statistics_out"),
                ]);
                pieces.extend(settle_if(track).pieces());
                pieces.push(piece!("forward_combine"));
            }
            Kernel::ForwardInstances { .. } => {
                pieces.extend([
                    piece!("part/moments_buffer/read"),
                    piece!("part/common/instance_moments"),
                    piece!("part/common/statistics_out"),
                ]);
                pieces.extend([piece!("part/common/update_running"), piece!("forward_instances")]);
            }
            Kernel::ForwardAxes { settle, .. } => {
                pieces.extend([
                    piece!("part/common/two_sum"),
                    piece!("part/moments_buffer/read"),
                    piece!("part/common/instance_moments"),
                ]);
                pieces.extend(settle.pieces());
                pieces.push(if settle == Settle::Running {
                    piece!("part/batch_moments/running")
                } else {
                    piece!("part/batch_moments/input")
                });
                pieces.extend([piece!("part/common/items"), piece!("forward_axes")]);
            }
            Kernel::ForwardApply { parameters, from, element, .. } => {
                pieces.push(piece!("part/output/buffer/y"));
                pieces.extend(parameters.unit_pieces(element.width));
                pieces.extend(from.pieces());
                pieces.extend([
                    piece!("part/common/normalize"),
                    piece!("part/common/each_unit"),
                    element.across_piece(),
                ]);
                pieces.push(piece!("forward_apply"));
            }
            Kernel::ForwardColumns { .. } => {
                pieces.extend([
                    piece!("part/common/full"),
                    piece!("part/common/columns"),
                    units_piece(Kernel::COLUMN_UNITS),
                ]);
                pieces.extend([piece!("part/moments_buffer/write"), piece!("forward_columns")]);
            }
            Kernel::ForwardApplyColumns { parameters, from, .. } => {
                pieces.push(piece!("part/output/buffer/y"));
                pieces.extend([piece!("part/common/full"), piece!("part/common/columns"), parameters.piece()]);
                pieces.extend(from.pieces());
                pieces.push(piece!("forward_apply_columns"));
            }
            _ => {}
        }
    }

    fn link_backward(self, pieces: &mut Vec<&'static str>) {
        match self {
            Kernel::BackwardRow { units, parameters, element, keep, .. } => {
                pieces.extend([
                    piece!("part/output/buffer/dx"),
                    piece!("part/common/walk"),
                    units_piece(units),
                    piece!("part/common/full"),
                ]);
                pieces.extend([
                    piece!("part/statistics/stored"),
                    piece!("part/common/lane_sums"),
                    piece!("part/common/held_row"),
                ]);
                pieces.extend(parameters.unit_pieces(element.width));
                pieces.extend(keep.pieces());
                pieces.push(piece!("backward_row"));
            }
            Kernel::BackwardSums { units, parameters, from, element, .. } => {
                pieces.extend([
                    units_piece(units),
                    piece!("part/common/full"),
                    piece!("part/common/segment"),
                    piece!("part/sums_buffer/write"),
                    piece!("part/common/lane_sums"),
                    gradient_piece(from.gives_dx(element)),
                ]);
                pieces.extend(parameters.unit_pieces(element.width));
                pieces.extend(from.pieces());
                pieces.push(piece!("backward_sums"));
            }
            Kernel::BackwardColumns { parameters, from, element } => {
                pieces.extend([
                    piece!("part/common/full"),
                    piece!("part/common/columns"),
                    units_piece(Kernel::COLUMN_UNITS),
                ]);
                pieces.extend([gradient_piece(from.gives_dx(element)), parameters.piece()]);
                pieces.extend(from.pieces());
                pieces.extend([
                    piece!("part/sums_buffer/write"),
                    piece!("part/common/column_sums"),
                    piece!("backward_columns"),
                ]);
            }
            Kernel::BackwardCombine { sets, parameters, .. } => {
                let weights = sets.unwrap_or(Parameters::None);
                pieces.extend([piece!("part/common/walk"), piece!("part/sums_buffer/read"), weights.piece()]);
                pieces.extend([piece!("part/common/parameter"), parameters.gradients_piece()]);
                if sets.is_some() {
                    pieces.extend([piece!("part/statistics/stored"), piece!("part/store_coefficients/rows")]);
                } else {
                    pieces.push(piece!("part/store_coefficients/none"));
                }
                pieces.extend([piece!("part/common/items"), piece!("backward_combine")]);
            }
            Kernel::BackwardAxes { parameters, .. } => {
                pieces.extend(StatisticsFrom::Mixed.pieces());
                pieces.extend([piece!("part/sums_buffer/read"), parameters.without_bias().piece()]);
                pieces.extend([piece!("part/common/through_instance"), parameters.gradients_piece()]);
                pieces.extend([piece!("part/common/items"), piece!("backward_axes")]);
            }
            Kernel::BackwardMix { parameters, .. } => {
                pieces.extend(StatisticsFrom::Mixed.pieces());
                pieces.extend([
                    piece!("part/sums_buffer/read"),
                    parameters.piece(),
                    piece!("part/common/through_instance"),
                ]);
                pieces.extend([piece!("part/common/items"), piece!("backward_mix")]);
            }
            Kernel::BackwardApply { parameters, running, element, .. } => {
                pieces.push(piece!("part/output/buffer/dx"));
                pieces.extend(parameters.unit_pieces(element.width));
                pieces.extend(coefficients_pieces(running.then_some(StatisticsFrom::Running)));
                pieces.extend([piece!("part/common/each_unit"), element.across_piece(), piece!("backward_apply")]);
            }
            Kernel::BackwardApplyColumns { parameters, running, .. } => {
                pieces.extend([
                    piece!("part/output/buffer/dx"),
                    piece!("part/common/full"),
                    piece!("part/common/columns"),
                ]);
                pieces.push(parameters.piece());
                pieces.extend(coefficients_pieces(running.then_some(StatisticsFrom::Running)));
                pieces.push(piece!("backward_apply_columns"));
            }
            Kernel::BackwardRows { parameters, element, units, rows } => {
                pieces.extend([piece!("part/common/full"), piece!("part/common/columns"), units_piece(units)]);
                pieces.extend(parameters.unit_pieces(element.width));
                pieces.extend(rows.pieces());
                pieces.extend([
                    piece!("part/sums_buffer/write"),
                    piece!("part/common/column_sums"),
                    piece!("backward_rows"),
                ]);
            }
            _ => {}
        }
    }

    fn is_backward(self) -> bool {
        self.name().starts_with("backward")
    }
}
