//! Named arrays, as torch saves them.

use std::collections::{BTreeMap, btree_map};

use ndarray::ArrayD;

use super::state_value::StateValue;
use crate::dtype::DType;

/// Parameters and statistics by name: what `module.state_dict()` gives. Layers read and write them as f32; what comes from a
/// file keeps its element type for whoever writes it again. The `num_batches_tracked` of each layer is written as the
/// 64-bit integer that torch expects (and is exact up to 2²⁴).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StateDict {
    values: BTreeMap<String, StateValue>,
}

impl StateDict {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an array, or replaces it; the old one comes back.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<StateValue>) -> Option<StateValue> {
        self.values.insert(key.into(), value.into())
    }

    /// The array of this name, in f32; `None` also where its elements have no meaning in f32.
    pub fn get(&self, key: &str) -> Option<&ArrayD<f32>> {
        self.value(key)?.array()
    }

    /// The value of this name, of whatever element type.
    pub fn value(&self, key: &str) -> Option<&StateValue> {
        self.values.get(key)
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: &str) -> Option<StateValue> {
        self.values.remove(key)
    }

    /// All names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &StateValue)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The same, all floating-point values to be written as `dtype` ([`StateValue::to_dtype`]).
    pub fn to_dtype(&self, dtype: DType) -> StateDict {
        self.iter().map(|(key, value)| (key.to_owned(), value.to_dtype(dtype))).collect()
    }
}

impl<K: Into<String>, V: Into<StateValue>> Extend<(K, V)> for StateDict {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, values: I) {
        self.values.extend(values.into_iter().map(|(key, value)| (key.into(), value.into())));
    }
}

impl<K: Into<String>, V: Into<StateValue>> FromIterator<(K, V)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(values: I) -> StateDict {
        let mut state = StateDict::new();
        state.extend(values);
        state
    }
}

impl IntoIterator for StateDict {
    type Item = (String, StateValue);
    type IntoIter = btree_map::IntoIter<String, StateValue>;

    fn into_iter(self) -> Self::IntoIter {
        self.values.into_iter()
    }
}

/// A module's name as keys begin with it: `bn1` and `bn1.` are the same module.
pub(super) fn module(prefix: &str) -> String {
    if prefix.is_empty() || prefix.ends_with('.') { prefix.to_owned() } else { format!("{prefix}.") }
}
