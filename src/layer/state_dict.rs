//! Named arrays, as torch saves them, to and from safetensors.

use std::collections::BTreeMap;
use std::path::Path;

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::error::{Error, Result};
use crate::spec::COUNTER;

/// Parameters and statistics by name: what `module.state_dict()` gives, in f32. The `num_batches_tracked` of each
/// layer is written as the 64-bit integer that torch expects (and is exact up to 2²⁴).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StateDict {
    entries: BTreeMap<String, ArrayD<f32>>,
}

impl StateDict {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an array, or replaces it; the old one comes back.
    pub fn insert(&mut self, key: impl Into<String>, value: ArrayD<f32>) -> Option<ArrayD<f32>> {
        self.entries.insert(key.into(), value)
    }

    /// The array of this name.
    pub fn get(&self, key: &str) -> Option<&ArrayD<f32>> {
        self.entries.get(key)
    }

    /// Takes an array out.
    pub fn remove(&mut self, key: &str) -> Option<ArrayD<f32>> {
        self.entries.remove(key)
    }

    /// All names and arrays, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ArrayD<f32>)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// How many arrays there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of a safetensors file.
    ///
    /// # Errors
    /// [`Error::Safetensors`] for sizes beyond the format.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let bytes: Vec<(&str, Dtype, &[usize], Vec<u8>)> = self
            .iter()
            .map(|(key, array)| {
                if is_counter(key) {
                    let whole: Vec<i64> = array.iter().map(|&value| value as i64).collect();
                    (key, Dtype::I64, array.shape(), bytemuck::cast_slice(&whole).to_vec())
                } else {
                    let values: Vec<f32> = array.iter().copied().collect();
                    (key, Dtype::F32, array.shape(), bytemuck::cast_slice(&values).to_vec())
                }
            })
            .collect();
        let views: Vec<(&str, TensorView)> = bytes
            .iter()
            .map(|(key, dtype, shape, data)| {
                Ok((*key, TensorView::new(*dtype, shape.to_vec(), data).map_err(refused)?))
            })
            .collect::<Result<_>>()?;
        safetensors::serialize(views, None).map_err(refused)
    }

    /// Reads the bytes of a safetensors file. F16, BF16, F64 and I64 become f32.
    ///
    /// # Errors
    /// [`Error::Safetensors`] for other bytes or element types.
    pub fn from_safetensors(bytes: &[u8]) -> Result<StateDict> {
        let file = SafeTensors::deserialize(bytes).map_err(refused)?;
        let mut state = StateDict::new();
        for (key, view) in file.iter() {
            let values = values_of(key, &view)?;
            let array = ArrayD::from_shape_vec(IxDyn(view.shape()), values).map_err(refused)?;
            state.insert(key, array);
        }
        Ok(state)
    }

    /// Reads a safetensors file.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Safetensors`].
    pub fn load(path: impl AsRef<Path>) -> Result<StateDict> {
        let path = path.as_ref();
        StateDict::from_safetensors(&std::fs::read(path).map_err(|error| file_error(path, error))?)
    }

    /// Writes a safetensors file.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Safetensors`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        std::fs::write(path, self.to_safetensors()?).map_err(|error| file_error(path, error))
    }
}

fn is_counter(key: &str) -> bool {
    key.rsplit('.').next() == Some(COUNTER)
}

fn values_of(key: &str, view: &TensorView) -> Result<Vec<f32>> {
    fn decode<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        data.as_chunks().0.iter().map(|&bytes| value(bytes)).collect()
    }
    let data = view.data();
    Ok(match view.dtype() {
        Dtype::F32 => decode(data, f32::from_le_bytes),
        Dtype::F16 => decode(data, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => decode(data, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        Dtype::F64 => decode(data, |bytes| f64::from_le_bytes(bytes) as f32),
        Dtype::I64 => decode(data, |bytes| i64::from_le_bytes(bytes) as f32),
        other => return Err(Error::Safetensors { reason: format!("{key} has elements of type {other:?}") }),
    })
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::Safetensors { reason: error.to_string() }
}

fn file_error(path: &Path, error: std::io::Error) -> Error {
    Error::File { path: path.display().to_string(), reason: error.to_string() }
}
