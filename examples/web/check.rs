//! Every norm, mode and pass on this GPU against the oracle.

use gpunorm::{DType, Error, GpuNorm, Mode, Tensor, reference};
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

use crate::device::Device;
use crate::held::{input, layers, oracle_state, output_gradient, with_random_parameters, worst_gradient, worst_output};
use crate::worst::Worst;

const BATCH: usize = 4;
const SIZE: usize = 13;
const TYPES: [DType; 3] = [DType::F32, DType::F16, DType::BF16];
const PASSES: [&str; 2] = ["forward", "backward"];

/// The norms that [`check`] takes.
#[wasm_bindgen]
pub fn checked_norms() -> Vec<String> {
    layers(BATCH, SIZE).map(|(name, ..)| name.to_owned()).into()
}

/// The norm at this place in the list, in each mode and pass, of each element type: rows of the table, as JSON.
#[wasm_bindgen]
pub async fn check(device: &Device, norm: usize) -> Result<String, JsError> {
    let (name, spec, shape) = layers(BATCH, SIZE)[norm].clone();
    let mut norm = GpuNorm::new(&device.0, spec)?;
    let state = with_random_parameters(norm.read_state_dict("").await?);
    norm.load_state_dict(&state, "")?;
    let mut rows: Vec<Value> = vec![];
    for (mode, called) in [(Mode::Training, "train"), (Mode::Evaluation, "eval")] {
        norm.set_mode(mode);
        let mut passes = PASSES.map(|_| (0, vec![]));
        for dtype in TYPES {
            for ((dispatches, types), held) in passes.iter_mut().zip(hold(&norm, &shape, dtype).await?) {
                let Worst { error, of_tolerance } = held.worst;
                types.push(json!({
                    "dtype": dtype.to_string(), "error": error, "share": of_tolerance, "allowed": held.worst.is_allowed(),
                }));
                *dispatches = held.dispatches.max(*dispatches);
            }
        }
        rows.extend(PASSES.into_iter().zip(passes).map(|(pass, (dispatches, types))| {
            json!({
                "norm": name, "mode": called, "pass": pass, "shape": shape, "dispatches": dispatches, "types": types,
            })
        }));
    }
    Ok(Value::from(rows).to_string())
}

/// How a pass compares.
struct Held {
    dispatches: usize,
    worst: Worst,
}

/// A forward and its backward, from exact inputs of this type.
async fn hold(norm: &GpuNorm, shape: &[usize], dtype: DType) -> Result<[Held; 2], Error> {
    let x = Tensor::from_array_as(norm.gpu(), &input(shape), dtype)?;
    let dy = Tensor::from_array_as(norm.gpu(), &output_gradient(shape), dtype)?;
    let (x_wide, dy_wide) = (x.read().await?.mapv(f64::from), dy.read().await?.mapv(f64::from));
    let before = oracle_state(norm.spec(), &norm.read_state_dict("").await?)?;

    let expected = reference::forward(norm.spec(), norm.mode(), &mut before.clone(), &x_wide)?;
    let (y, saved) = norm.forward_saved(&x)?;
    let forward = Held { dispatches: norm.plan(shape, dtype)?.dispatches(), worst: worst_output(&y, &expected).await? };
    let expected = reference::backward(norm.spec(), norm.mode(), &before, &x_wide, &dy_wide)?;
    let backward = Held {
        dispatches: norm.plan_backward(&saved)?.dispatches(),
        worst: worst_gradient(&norm.backward(&dy, &saved)?, &expected).await?,
    };
    Ok([forward, backward])
}
