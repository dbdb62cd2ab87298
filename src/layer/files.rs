//! State dicts in safetensors files, in one or in several with an index. Browsers have no files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Component, Path};

use safetensors::tensor::Metadata;

use super::checkpoint::{file_value, refused};
use super::state_dict::{StateDict, module};
use crate::error::{Cause, Error, Result};

/// Bytes that a file's header may have; what the safetensors crate allows.
const LARGEST_HEADER: u64 = 100_000_000;

impl StateDict {
    /// Reads a safetensors file, or all files that an index names: a file called `….json`, as `model.safetensors.index.json`.
    /// Not in browsers: there are [bytes](Self::from_safetensors).
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Safetensors`].
    pub fn load(path: impl AsRef<Path>) -> Result<StateDict> {
        StateDict::load_module(path, "")
    }

    /// As [`load`](Self::load), only the values of the module `prefix` (`model.layers.0.input_layernorm`; a dot at its end
    /// makes no difference), under their whole names. Of the file only its header and these values are read. Empty where it has no
    /// such module.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_module(path: impl AsRef<Path>, prefix: &str) -> Result<StateDict> {
        let (path, prefix) = (path.as_ref(), module(prefix));
        let is_index = path.extension().is_some_and(|extension| extension == "json");
        let loaded =
            if is_index { load_shards(path, &prefix) } else { load_file(path, |key| key.starts_with(&prefix)) };
        loaded.map_err(|error| within(path, error))
    }

    /// Writes a safetensors file. Not in browsers: there are [bytes](Self::to_safetensors).
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Safetensors`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        std::fs::write(path, self.to_safetensors()?).map_err(|error| file_error(path, error))
    }
}

/// The values whose key begins so, of the files of an index.
fn load_shards(path: &Path, prefix: &str) -> Result<StateDict> {
    let text = std::fs::read(path).map_err(|error| file_error(path, error))?;
    // Which file has which key, as Hugging Face writes it.
    let mut index: serde_json::Value = serde_json::from_slice(&text).map_err(refused)?;
    let files: BTreeMap<String, String> =
        serde_json::from_value(index["weight_map"].take()).map_err(|error| refused(format!("weight_map: {error}")))?;
    let wanted: BTreeMap<_, _> = files.iter().filter(|(key, _)| key.starts_with(prefix)).collect();
    let mut state = StateDict::new();
    for name in wanted.values().copied().collect::<BTreeSet<_>>() {
        // Only what lies beside the index.
        if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(refused(format!("the index names the file {name:?}, which is not beside it")));
        }
        let of_this = |key: &str| wanted.get(&key.to_owned()).is_some_and(|file| *file == name);
        let shard = path.with_file_name(name);
        state.extend(load_file(&shard, of_this).map_err(|error| within(&shard, error))?);
    }
    match wanted.keys().find(|key| state.value(key).is_none()) {
        Some(key) => Err(refused(format!("the index promises {key}, which is in none of its files"))),
        None => Ok(state),
    }
}

/// The values whose key is `wanted`.
fn load_file(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<StateDict> {
    let failed = |error| file_error(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => refused("the file is too short for a header"),
        _ => failed(error),
    })?;
    let length = u64::from_le_bytes(length);
    let Some(begin) = length.checked_add(8).filter(|&begin| length <= LARGEST_HEADER && begin <= size) else {
        return Err(refused("the header is too large"));
    };
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(failed)?;
    let metadata: Metadata = serde_json::from_slice(&header).map_err(refused)?;
    if begin.checked_add(metadata.data_len() as u64) != Some(size) {
        return Err(refused("the file has not the length that its header tells"));
    }
    let mut state = StateDict::new();
    for (key, info) in metadata.tensors().into_iter().filter(|(key, _)| wanted(key)) {
        let (from, to) = info.data_offsets;
        let mut bytes = vec![0; to - from];
        file.seek(SeekFrom::Start(begin + from as u64)).map_err(failed)?;
        file.read_exact(&mut bytes).map_err(failed)?;
        state.insert(key, file_value(info.dtype, &info.shape, bytes));
    }
    Ok(state)
}

/// That it was in this file.
fn within(path: &Path, error: Error) -> Error {
    match error {
        Error::Safetensors { path: None, source } => {
            Error::Safetensors { path: Some(path.display().to_string()), source }
        }
        error => error,
    }
}

fn file_error(path: &Path, error: std::io::Error) -> Error {
    Error::File { path: path.display().to_string(), source: Cause::new(error) }
}
