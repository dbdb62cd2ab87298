//! A value of a state dict: an array, or a file's bytes as they came.

use half::{bf16, f16};
use ndarray::ArrayD;

#[cfg(feature = "safetensors")]
use super::file_value::FileValue;
use crate::dtype::DType;

/// A named array of a [`StateDict`](crate::StateDict). What comes from a file stays as its bytes, of whatever element type,
/// is decoded when it is first asked for, and is written as it came.
#[derive(Debug, Clone)]
pub struct StateValue(pub(super) Stored);

#[derive(Debug, Clone)]
pub(super) enum Stored {
    Array(DType, ArrayD<f32>),
    #[cfg(feature = "safetensors")]
    File(FileValue),
}

impl From<ArrayD<f32>> for StateValue {
    fn from(array: ArrayD<f32>) -> StateValue {
        StateValue(Stored::Array(DType::F32, array))
    }
}

impl StateValue {
    /// Sizes of the dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        match &self.0 {
            Stored::Array(_, array) => array.shape(),
            #[cfg(feature = "safetensors")]
            Stored::File(value) => value.shape(),
        }
    }

    /// The type that it is written in, where that is one of tensors; `None` for others, such as integers.
    pub fn dtype(&self) -> Option<DType> {
        match &self.0 {
            Stored::Array(dtype, _) => Some(*dtype),
            #[cfg(feature = "safetensors")]
            Stored::File(value) => value.dtype(),
        }
    }

    /// The elements as f32: of f32, f16, bf16, f64 and i64 ones. `None` for other types.
    pub fn array(&self) -> Option<&ArrayD<f32>> {
        match &self.0 {
            Stored::Array(_, array) => Some(array),
            #[cfg(feature = "safetensors")]
            Stored::File(value) => value.array(),
        }
    }

    /// The same to be written as `dtype`, each element rounded to nearest, ties to even. Values without a
    /// [`dtype`](Self::dtype) stay what they are.
    pub fn to_dtype(&self, dtype: DType) -> StateValue {
        match (self.dtype(), self.array()) {
            (Some(own), Some(array)) if own != dtype => {
                let array = match dtype {
                    DType::F32 => array.clone(),
                    DType::F16 => array.mapv(|value| f16::from_f32(value).to_f32()),
                    DType::BF16 => array.mapv(|value| bf16::from_f32(value).to_f32()),
                };
                StateValue(Stored::Array(dtype, array))
            }
            _ => self.clone(),
        }
    }

    /// What errors call its type.
    pub(super) fn type_name(&self) -> String {
        match &self.0 {
            Stored::Array(dtype, _) => dtype.to_string(),
            #[cfg(feature = "safetensors")]
            Stored::File(value) => value.type_name(),
        }
    }
}

/// By shape and elements; of types without a meaning in f32 by their bytes.
impl PartialEq for StateValue {
    fn eq(&self, other: &StateValue) -> bool {
        match (self.array(), other.array(), &self.0, &other.0) {
            (Some(own), Some(other), ..) => own == other,
            #[cfg(feature = "safetensors")]
            (None, None, Stored::File(own), Stored::File(other)) => own.same_bytes(other),
            _ => false,
        }
    }
}
