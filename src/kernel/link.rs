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
            Team::Workgroup => piece!("part/team_workgroup"),
            Team::Subgroup => piece!("part/team_subgroup"),
            Team::Invocation => piece!("part/team_invocation"),
        };
        [own, piece!("part/team")]
    }
}

impl Element {
    fn pieces(self) -> [&'static str; 6] {
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
        // Of 16-bit types, one element is half of what a buffer holds.
        let whole = if self.writes() { piece!("part/whole") } else { "" };
        [word, unit, whole, values, piece!("part/slice"), piece!("part/deviation")]
    }

    /// Of a kernel whose units may lie in two rows.
    fn across_piece(self) -> &'static str {
        let words = self.writes() && self.width == 2;
        if words { piece!("part/across_words") } else { piece!("part/across_none") }
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

    fn in_quads(self) -> bool {
        matches!(self, Parameters::WeightQuads | Parameters::BothQuads)
    }

    /// The pieces of a kernel that looks parameters up for units of `width`.
    fn unit_pieces(self, width: u32) -> [&'static str; 4] {
        let neighbours = match (self.in_quads(), width) {
            (true, 4) => piece!("part/neighbours_4"),
            (true, _) => piece!("part/neighbours_8"),
            (false, _) => piece!("part/neighbours_each"),
        };
        [self.piece(), neighbours, piece!("part/parameter"), piece!("part/affine")]
    }

    fn gradients_piece(self) -> &'static str {
        match self {
            Parameters::None => piece!("part/gradients_none"),
            Parameters::Weight | Parameters::WeightQuads => piece!("part/gradients_weight"),
            Parameters::Both | Parameters::BothQuads => piece!("part/gradients_both"),
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
            StatisticsFrom::Stored => &[piece!("part/statistics_stored")],
            StatisticsFrom::Running => &[piece!("part/statistics_running")],
            StatisticsFrom::Mixed => {
                &[piece!("part/partials"), piece!("part/instances"), piece!("part/statistics_mixed")]
            }
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
}

fn gradient_piece(writes: bool) -> &'static str {
    if writes { piece!("part/gradient_out") } else { piece!("part/gradient_none") }
}

fn units_piece(units: u32) -> &'static str {
    match units {
        2 => piece!("part/units_2"),
        8 => piece!("part/units_8"),
        _ => piece!("part/units_16"),
    }
}

impl Save {
    fn piece(self) -> &'static str {
        match self {
            Save::Nothing => piece!("part/save_none"),
            Save::Moments => piece!("part/partials_out"),
            Save::Statistics => piece!("part/save_statistics"),
        }
    }
}

impl Keep {
    fn pieces(self) -> &'static [&'static str] {
        match self {
            Keep::Nothing => &[piece!("part/in_turn"), piece!("part/row_sums"), piece!("part/keep_nothing")],
            Keep::Rows => &[
                piece!("part/in_turn"),
                piece!("part/sums_out"),
                piece!("part/row_sums_kept"),
                piece!("part/keep_nothing"),
            ],
            Keep::Channels => &[piece!("part/sums_out"), piece!("part/channel_sums"), piece!("part/keep_nothing")],
            Keep::Columns => &[
                piece!("part/in_turn"),
                piece!("part/row_sums"),
                piece!("part/sums_out"),
                piece!("part/column_sums"),
                piece!("part/keep_columns"),
            ],
        }
    }
}

impl RowsFrom {
    fn pieces(self) -> Vec<&'static str> {
        let out = gradient_piece(self != RowsFrom::Statistics);
        let known = match self {
            RowsFrom::Own => vec![piece!("part/statistics_stored"), piece!("part/lane_sums"), piece!("part/rows_own")],
            RowsFrom::Stored => [coefficients_pieces(None), vec![piece!("part/rows_stored")]].concat(),
            RowsFrom::Statistics => {
                [coefficients_pieces(Some(StatisticsFrom::Stored)), vec![piece!("part/rows_stored")]].concat()
            }
        };
        [vec![out], known].concat()
    }
}

/// What a kernel knows of a row before its dx, which goes through the statistics unless they are taken as constants.
fn coefficients_pieces(constants: Option<StatisticsFrom>) -> Vec<&'static str> {
    match constants {
        Some(from) => [from.pieces(), &[piece!("part/coefficients_constant")]].concat(),
        None => vec![piece!("part/coefficients_stored")],
    }
}

impl Kernel {
    /// The WGSL of this kernel. `directives` come first: browsers require `enable subgroups;` where naga refuses it.
    pub fn link(self, directives: &str) -> String {
        let mut pieces = vec![piece!("part/params"), piece!("part/opaque"), piece!("part/moments")];
        if self.is_backward() {
            pieces.extend([piece!("part/two_sum"), piece!("part/sums"), piece!("part/coefficients")]);
            pieces.push(piece!("part/shared_sums"));
        } else {
            pieces.push(piece!("part/shared_moments"));
        }
        pieces.extend(self.team().pieces());
        if let Some(element) = self.element() {
            pieces.extend(element.pieces());
            pieces.push(piece!("part/input"));
            if self.is_backward() {
                pieces.push(piece!("part/gradient_in"));
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
                pieces.push(piece!("part/output"));
                pieces.extend([piece!("part/walk"), units_piece(units), piece!("part/full"), piece!("part/tile")]);
                pieces.extend(parameters.unit_pieces(element.width));
                pieces.push(piece!("part/normalize"));
                pieces.push(save.piece());
                pieces.extend(settle_if(track).pieces());
                pieces.push(piece!("forward_row"));
            }
            Kernel::ForwardMoments { units, .. } => {
                pieces.extend([piece!("part/walk"), units_piece(units), piece!("part/full"), piece!("part/tile")]);
                pieces.extend([piece!("part/segment"), piece!("part/partials_out"), piece!("forward_moments")]);
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
                pieces.extend([piece!("part/two_sum"), piece!("part/partials"), piece!("part/instances")]);
                pieces.extend(settle.pieces());
                pieces.extend([piece!("part/items"), piece!("forward_axes")]);
            }
            Kernel::ForwardApply { parameters, from, element, .. } => {
                pieces.push(piece!("part/output"));
                pieces.extend(parameters.unit_pieces(element.width));
                pieces.extend(from.pieces());
                pieces.extend([piece!("part/normalize"), piece!("part/each_unit"), element.across_piece()]);
                pieces.push(piece!("forward_apply"));
            }
            Kernel::ForwardColumns { .. } => {
                pieces.extend([piece!("part/full"), piece!("part/columns"), units_piece(Kernel::COLUMN_UNITS)]);
                pieces.extend([piece!("part/partials_out"), piece!("forward_columns")]);
            }
            Kernel::ForwardApplyColumns { parameters, from, .. } => {
                pieces.push(piece!("part/output"));
                pieces.extend([piece!("part/full"), piece!("part/columns"), parameters.piece()]);
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
                    piece!("part/gradient_out"),
                    piece!("part/walk"),
                    units_piece(units),
                    piece!("part/full"),
                ]);
                pieces.extend([piece!("part/statistics_stored"), piece!("part/lane_sums"), piece!("part/held_row")]);
                pieces.extend(parameters.unit_pieces(element.width));
                pieces.extend(keep.pieces());
                pieces.push(piece!("backward_row"));
            }
            Kernel::BackwardSums { units, parameters, from, element, .. } => {
                pieces.extend([
                    units_piece(units),
                    piece!("part/full"),
                    piece!("part/segment"),
                    piece!("part/sums_out"),
                    piece!("part/lane_sums"),
                    gradient_piece(from.gives_dx(element)),
                ]);
                pieces.extend(parameters.unit_pieces(element.width));
                pieces.extend(from.pieces());
                pieces.push(piece!("backward_sums"));
            }
            Kernel::BackwardColumns { parameters, from, element } => {
                pieces.extend([piece!("part/full"), piece!("part/columns"), units_piece(Kernel::COLUMN_UNITS)]);
                pieces.extend([gradient_piece(from.gives_dx(element)), parameters.piece()]);
                pieces.extend(from.pieces());
                pieces.extend([piece!("part/sums_out"), piece!("part/column_sums"), piece!("backward_columns")]);
            }
            Kernel::BackwardCombine { sets, parameters, .. } => {
                let weights = sets.unwrap_or(Parameters::None);
                pieces.extend([piece!("part/walk"), piece!("part/sums_in"), weights.piece()]);
                pieces.extend([piece!("part/parameter"), parameters.gradients_piece()]);
                if sets.is_some() {
                    pieces.extend([piece!("part/statistics_stored"), piece!("part/sets")]);
                } else {
                    pieces.push(piece!("part/sets_none"));
                }
                pieces.extend([piece!("part/items"), piece!("backward_combine")]);
            }
            Kernel::BackwardAxes { parameters, .. } => {
                pieces.extend(StatisticsFrom::Mixed.pieces());
                pieces.extend([piece!("part/sums_in"), parameters.without_bias().piece()]);
                pieces.extend([piece!("part/through_instance"), parameters.gradients_piece()]);
                pieces.extend([piece!("part/items"), piece!("backward_axes")]);
            }
            Kernel::BackwardMix { parameters, .. } => {
                pieces.extend(StatisticsFrom::Mixed.pieces());
                pieces.extend([piece!("part/sums_in"), parameters.piece(), piece!("part/through_instance")]);
                pieces.extend([piece!("part/items"), piece!("backward_mix")]);
            }
            Kernel::BackwardApply { parameters, running, element, .. } => {
                pieces.push(piece!("part/gradient_out"));
                pieces.extend(parameters.unit_pieces(element.width));
                pieces.extend(coefficients_pieces(running.then_some(StatisticsFrom::Running)));
                pieces.extend([piece!("part/each_unit"), element.across_piece(), piece!("backward_apply")]);
            }
            Kernel::BackwardApplyColumns { parameters, running, .. } => {
                pieces.extend([piece!("part/gradient_out"), piece!("part/full"), piece!("part/columns")]);
                pieces.push(parameters.piece());
                pieces.extend(coefficients_pieces(running.then_some(StatisticsFrom::Running)));
                pieces.push(piece!("backward_apply_columns"));
            }
            Kernel::BackwardRows { parameters, element, units, rows } => {
                pieces.extend([piece!("part/full"), piece!("part/columns"), units_piece(units)]);
                pieces.extend(parameters.unit_pieces(element.width));
                pieces.extend(rows.pieces());
                pieces.extend([piece!("part/sums_out"), piece!("part/column_sums"), piece!("backward_rows")]);
            }
            _ => {}
        }
    }

    fn is_backward(self) -> bool {
        self.name().starts_with("backward")
    }
}
