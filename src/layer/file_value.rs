//! Arrays as safetensors files hold them.

use std::borrow::Cow;
use std::sync::OnceLock;

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use safetensors::Dtype;

use crate::dtype::DType;

/// The bytes of an array as they came, of whatever element type.
#[derive(Debug, Clone)]
pub(super) struct FileValue {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
    decoded: OnceLock<Option<ArrayD<f32>>>,
}

impl FileValue {
    /// `bytes` are as many as type and shape take.
    pub fn new(dtype: Dtype, shape: Vec<usize>, bytes: Vec<u8>) -> FileValue {
        FileValue { dtype, shape, bytes, decoded: OnceLock::new() }
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// `None` for what no tensor holds.
    pub fn dtype(&self) -> Option<DType> {
        match self.dtype {
            Dtype::F32 => Some(DType::F32),
            Dtype::F16 => Some(DType::F16),
            Dtype::BF16 => Some(DType::BF16),
            _ => None,
        }
    }

    /// How files call its type.
    pub fn type_name(&self) -> String {
        format!("{:?}", self.dtype)
    }

    /// Decoded the first time; `None` for types without a meaning in f32.
    pub fn array(&self) -> Option<&ArrayD<f32>> {
        let decoded = || ArrayD::from_shape_vec(IxDyn(&self.shape), decode(self.dtype, &self.bytes)?).ok();
        self.decoded.get_or_init(decoded).as_ref()
    }

    /// Type and bytes, to be written as they came.
    pub fn encoded(&self) -> (Dtype, Cow<'_, [u8]>) {
        (self.dtype, Cow::Borrowed(&self.bytes))
    }

    pub fn same_bytes(&self, other: &FileValue) -> bool {
        self.dtype == other.dtype && self.shape == other.shape && self.bytes == other.bytes
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

/// Type and bytes of an array in a file; a layer's number of batches is a whole number, as torch has it.
pub(super) fn encode(array: &ArrayD<f32>, dtype: DType, is_counter: bool) -> (Dtype, Cow<'_, [u8]>) {
    match dtype {
        _ if is_counter => (Dtype::I64, array.iter().flat_map(|&value| (value as i64).to_le_bytes()).collect()),
        DType::F32 => (Dtype::F32, array.iter().flat_map(|value| value.to_le_bytes()).collect()),
        DType::F16 => (Dtype::F16, array.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect()),
        DType::BF16 => (Dtype::BF16, array.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect()),
    }
}
