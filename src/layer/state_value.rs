//! A value of a state dict: an array, or a file's bytes as they came.

use std::borrow::Cow;
use std::sync::OnceLock;

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::dtype::DType;

/// A named array of a [`StateDict`](crate::StateDict). What comes from a file stays as its bytes, of whatever element type,
/// is decoded when it is first asked for, and is written as it came.
#[derive(Debug, Clone)]
pub struct StateValue(Stored);

#[derive(Debug, Clone)]
enum Stored {
    Array { dtype: DType, array: ArrayD<f32> },
    Bytes { dtype: Dtype, shape: Vec<usize>, bytes: Vec<u8>, decoded: OnceLock<Option<ArrayD<f32>>> },
}

impl From<ArrayD<f32>> for StateValue {
    fn from(array: ArrayD<f32>) -> StateValue {
        StateValue(Stored::Array { dtype: DType::F32, array })
    }
}

impl StateValue {
    /// Of a file, of which `bytes` are as many as type and shape take.
    pub(super) fn of_file(dtype: Dtype, shape: Vec<usize>, bytes: Vec<u8>) -> StateValue {
        StateValue(Stored::Bytes { dtype, shape, bytes, decoded: OnceLock::new() })
    }

    /// Sizes of the dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        match &self.0 {
            Stored::Array { array, .. } => array.shape(),
            Stored::Bytes { shape, .. } => shape,
        }
    }

    /// The type that it is written in, where that is one of tensors; `None` for others, such as integers.
    pub fn dtype(&self) -> Option<DType> {
        match &self.0 {
            Stored::Array { dtype, .. } => Some(*dtype),
            Stored::Bytes { dtype: Dtype::F32, .. } => Some(DType::F32),
            Stored::Bytes { dtype: Dtype::F16, .. } => Some(DType::F16),
            Stored::Bytes { dtype: Dtype::BF16, .. } => Some(DType::BF16),
            Stored::Bytes { .. } => None,
        }
    }

    /// The elements as f32: of f32, f16, bf16, f64 and i64 ones. `None` for other types.
    pub fn array(&self) -> Option<&ArrayD<f32>> {
        match &self.0 {
            Stored::Array { array, .. } => Some(array),
            Stored::Bytes { dtype, shape, bytes, decoded } => {
                decoded.get_or_init(|| ArrayD::from_shape_vec(IxDyn(shape), decode(*dtype, bytes)?).ok()).as_ref()
            }
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
                StateValue(Stored::Array { dtype, array })
            }
            _ => self.clone(),
        }
    }

    /// How files call its type.
    pub(super) fn type_name(&self) -> String {
        match &self.0 {
            Stored::Array { dtype, .. } => dtype.to_string(),
            Stored::Bytes { dtype, .. } => format!("{dtype:?}"),
        }
    }

    /// Type and bytes in a file; a layer's number of batches is a whole number, as torch has it.
    pub(super) fn encode(&self, is_counter: bool) -> (Dtype, Cow<'_, [u8]>) {
        match &self.0 {
            Stored::Bytes { dtype, bytes, .. } => (*dtype, Cow::Borrowed(bytes)),
            Stored::Array { array, .. } if is_counter => {
                (Dtype::I64, array.iter().flat_map(|&value| (value as i64).to_le_bytes()).collect())
            }
            Stored::Array { dtype: DType::F32, array } => {
                (Dtype::F32, array.iter().flat_map(|value| value.to_le_bytes()).collect())
            }
            Stored::Array { dtype: DType::F16, array } => {
                (Dtype::F16, array.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect())
            }
            Stored::Array { dtype: DType::BF16, array } => {
                (Dtype::BF16, array.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect())
            }
        }
    }
}

impl From<&TensorView<'_>> for StateValue {
    fn from(view: &TensorView<'_>) -> StateValue {
        StateValue::of_file(view.dtype(), view.shape().to_vec(), view.data().to_vec())
    }
}

/// By shape and elements; of types without a meaning in f32 by their bytes.
impl PartialEq for StateValue {
    fn eq(&self, other: &StateValue) -> bool {
        match (self.array(), other.array(), &self.0, &other.0) {
            (Some(own), Some(other), ..) => own == other,
            (_, _, Stored::Bytes { dtype: a, bytes: own, .. }, Stored::Bytes { dtype: b, bytes, .. }) => {
                a == b && own == bytes && self.shape() == other.shape()
            }
            _ => false,
        }
    }
}

fn decode(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Option<Vec<f32>> {
        Some(bytes.as_chunks().0.iter().map(|&bytes| value(bytes)).collect())
    }
    match dtype {
        Dtype::F32 => each(bytes, f32::from_le_bytes),
        Dtype::F16 => each(bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => each(bytes, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        Dtype::F64 => each(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
        Dtype::I64 => each(bytes, |bytes| i64::from_le_bytes(bytes) as f32),
        _ => None,
    }
}
