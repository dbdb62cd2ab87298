//! Which elements share one statistic.

use std::collections::HashMap;

use example_kit::random::Random;
use gpunorm::{Mode, reference};
use ndarray::Array4;
use wasm_bindgen::prelude::*;

use crate::settings::Settings;

/// The set of each element of `[n, c, places]`, counted from 0 as they come. The oracle says so: elements that share a
/// statistic have one `1/sqrt(var + eps)`, to the bit.
#[wasm_bindgen]
pub fn sets(settings: &Settings, n: usize, c: usize, places: usize) -> Result<Vec<usize>, JsError> {
    let shape = [n, c, 1, places];
    let spec = settings.spec(shape);
    let mut random = Random::new(1);
    let x = Array4::from_shape_simple_fn(shape, || f64::from(random.signed())).into_dyn();
    let forward = reference::forward(&spec, Mode::Training, &mut settings.state(&spec)?, &x)?;
    let mut seen = HashMap::new();
    Ok(forward
        .inverse_std
        .iter()
        .map(|value| {
            let next = seen.len();
            *seen.entry(value.to_bits()).or_insert(next)
        })
        .collect())
}
