//! A kernel's text: which pieces are concatenated.

use super::{Element, Kernel, Parameters, Settle, StatisticsFrom, Team, settle_if};
use crate::dtype::DType;

macro_rules! piece {
    ($file:literal) => {
        include_str!(concat!("../../shaders/", $file, ".wgsl"))
    };
}

impl Team {
    fn piece(self) -> &'static str {
        match self {
            Team::Workgroup => piece!("part/team_workgroup"),
            Team::Subgroup => piece!("part/team_subgroup"),
            Team::Invocation => piece!("part/team_invocation"),
        }
    }
}

impl Element {
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

fn units_piece(units: u32) -> &'static str {
    match units {
        2 => piece!("part/units_2"),
        8 => piece!("part/units_8"),
        _ => piece!("part/units_16"),
    }
}

impl Kernel {
    /// The WGSL of this kernel. `directives` come first: browsers require `enable subgroups;` where naga refuses it.
    pub fn link(self, directives: &str) -> String {
        let mut pieces = vec![directives, piece!("part/params"), piece!("part/moments"), self.team().piece()];
        if let Some(element) = self.element() {
            pieces.extend(element.pieces());
        }
        match self {
            Kernel::ForwardRow { units, parameters, save, track, element, .. } => {
                pieces.extend([piece!("part/walk"), units_piece(units), piece!("part/full"), piece!("part/tile")]);
                pieces.extend(parameters.unit_pieces(element.width));
                pieces.push(if save { piece!("part/partials_out") } else { piece!("part/save_none") });
                pieces.extend(settle_if(track).pieces());
                pieces.push(piece!("forward_row"));
            }
            Kernel::ForwardMoments { units, .. } => {
                pieces.extend([piece!("part/walk"), units_piece(units), piece!("part/full"), piece!("part/tile")]);
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
            Kernel::ForwardColumns { .. } => {
                pieces.extend([piece!("part/full"), piece!("part/columns"), units_piece(Kernel::COLUMN_UNITS)]);
                pieces.extend([piece!("part/partials_out"), piece!("forward_columns")]);
            }
            Kernel::ForwardApplyColumns { parameters, from, .. } => {
                pieces.extend([piece!("part/full"), piece!("part/columns"), parameters.piece()]);
                pieces.extend(from.pieces());
                pieces.push(piece!("forward_apply_columns"));
            }
        }
        pieces.concat()
    }
}
