//! A piece of WGSL.

use super::binding::Binding;

/// A file of `shaders/`, and the buffers that it declares.
pub(super) struct Piece {
    /// Its path without the extension.
    pub name: &'static str,
    pub text: &'static str,
    pub reads: &'static [Binding],
    pub writes: &'static [Binding],
}

/// Takes the pieces of a kernel, some at a time.
pub(super) type Link<'a> = dyn FnMut(&[&'static Piece]) + 'a;

/// The piece at this path.
macro_rules! piece {
    ($name:literal $(, reads: [$($reads:ident),*])? $(, writes: [$($writes:ident),*])?) => {
        &$crate::kernel::piece::Piece {
            name: $name,
            text: include_str!(concat!("../../shaders/", $name, ".wgsl")),
            reads: &[$($($crate::kernel::binding::Binding::$reads),*)?],
            writes: &[$($($crate::kernel::binding::Binding::$writes),*)?],
        }
    };
}

pub(super) use piece;
