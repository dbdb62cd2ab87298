//! State dicts to and from the bytes of safetensors files.

use std::borrow::Cow;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::file_value::{FileValue, encode};
use super::state_dict::StateDict;
use super::state_value::{StateValue, Stored};
use crate::error::{Cause, Error, Result};
use crate::spec::COUNTER;

impl StateDict {
    /// The bytes of a safetensors file. `save(path)` writes them, outside of browsers.
    ///
    /// # Errors
    /// [`Error::Safetensors`] for sizes beyond the format.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let encoded: Vec<_> = self.iter().map(|(key, value)| (key, value.shape(), encoded(key, value))).collect();
        let mut views: Vec<(&str, TensorView)> = vec![];
        for entry in &encoded {
            let (key, shape, (dtype, bytes)) = entry;
            views.push((key, TensorView::new(*dtype, shape.to_vec(), bytes).map_err(refused)?));
        }
        safetensors::serialize(views, None).map_err(refused)
    }

    /// Reads the bytes of a safetensors file. Values are decoded when they are asked for. `load(path)` and
    /// `load_module(path, prefix)` read files, outside of browsers.
    ///
    /// # Errors
    /// [`Error::Safetensors`] for other bytes.
    pub fn from_safetensors(bytes: &[u8]) -> Result<StateDict> {
        let file = SafeTensors::deserialize(bytes).map_err(refused)?;
        let value = |view: TensorView| file_value(view.dtype(), view.shape(), view.data().to_vec());
        Ok(file.iter().map(|(key, view)| (key, value(view))).collect())
    }
}

pub(super) fn file_value(dtype: Dtype, shape: &[usize], bytes: Vec<u8>) -> StateValue {
    StateValue(Stored::File(FileValue::new(dtype, shape.to_vec(), bytes)))
}

/// Type and bytes in a file.
fn encoded<'a>(key: &str, value: &'a StateValue) -> (Dtype, Cow<'a, [u8]>) {
    let is_counter = key.rsplit('.').next() == Some(COUNTER);
    match &value.0 {
        Stored::Array(dtype, array) => encode(array, *dtype, is_counter),
        Stored::File(value) => value.encoded(),
    }
}

pub(super) fn refused(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Safetensors { path: None, source: Cause::new(error) }
}
