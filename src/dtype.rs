//! Element types of activations. Parameters and statistics are f32 always.

use std::fmt;

use half::{bf16, f16};

/// The element type of a [`Tensor`](crate::Tensor). Sums are taken in f32 whatever it is, and results are
/// rounded to it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum DType {
    /// IEEE binary32.
    #[default]
    F32,
    /// IEEE binary16; runs on every adapter, no `shader-f16` needed.
    F16,
    /// bfloat16: the upper half of an f32.
    BF16,
}

impl DType {
    /// Bytes per element.
    pub const fn size(self) -> usize {
        match self {
            DType::F32 => 4,
            DType::F16 | DType::BF16 => 2,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
        })
    }
}

/// A Rust type that is an element type of tensors: `f32`, [`half::f16`] and [`half::bf16`].
pub trait Scalar: bytemuck::Pod + sealed::Sealed {
    /// Its element type.
    const DTYPE: DType;
}

impl Scalar for f32 {
    const DTYPE: DType = DType::F32;
}

impl Scalar for f16 {
    const DTYPE: DType = DType::F16;
}

impl Scalar for bf16 {
    const DTYPE: DType = DType::BF16;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for half::f16 {}
    impl Sealed for half::bf16 {}
}
