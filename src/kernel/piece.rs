//! A piece of WGSL.

use super::binding::Binding;

/// A file of `shaders/`, and the buffers that it declares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// Its path without the extension.
    pub name: &'static str,
    pub text: &'static str,
    pub reads: &'static [Binding],
    pub writes: &'static [Binding],
}

impl Piece {
    pub const fn reads(self, reads: &'static [Binding]) -> Piece {
        Piece { reads, ..self }
    }

    pub const fn writes(self, writes: &'static [Binding]) -> Piece {
        Piece { writes, ..self }
    }
}

macro_rules! piece {
    ($name:literal) => {
        $crate::kernel::piece::Piece {
            name: $name,
            text: include_str!(concat!("../../shaders/", $name, ".wgsl")),
            reads: &[],
            writes: &[],
        }
    };
}

pub(super) use piece;
