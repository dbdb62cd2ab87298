//! What differs from device to device in the text of every kernel.

use super::alternatives::Team;
use super::kernels::Kernel;
use super::piece::{Piece, piece};

/// How a device's shaders convert f16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum F16 {
    /// In integer arithmetic, which every device has.
    #[default]
    Integer,
    /// From f16 by an instruction, to f16 in integer arithmetic.
    NativeDecode,
    /// Both by instructions, on GPUs; wants `Features::SHADER_F16`.
    Native,
}

impl F16 {
    /// All of them.
    pub const ALL: [F16; 3] = [F16::Integer, F16::NativeDecode, F16::Native];
}

/// Whose compiler a kernel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Target {
    /// A browser's, which wants subgroups enabled by name. naga does not know that directive.
    pub browser: bool,
    /// How f16 is converted.
    pub f16: F16,
}

const BROWSER_SUBGROUPS: &str = "enable subgroups;\nrequires subgroup_id;\n";

impl Target {
    /// What comes before all declarations.
    pub(super) fn directives(self, kernel: Kernel) -> String {
        let converts = if kernel.converts_f16() && self.f16 == F16::Native { "enable f16;\n" } else { "" };
        let exchanges = if self.browser && kernel.team() == Team::Subgroup { BROWSER_SUBGROUPS } else { "" };
        format!("{converts}{exchanges}")
    }

    /// What is linked in place of `piece`.
    pub(super) fn piece(self, piece: &'static Piece) -> &'static Piece {
        match (piece.name, self.f16) {
            ("part/decode/f16", F16::NativeDecode | F16::Native) => piece!("part/decode/f16_native"),
            ("part/encode/f16", F16::Native) => piece!("part/encode/f16_native"),
            _ => piece,
        }
    }
}
