//! Where a layer's forward goes: to the kernels, or to burn's own operations.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::{DType, FloatDType, Tensor};
use gpunorm::unstable::Geometry;
use gpunorm::{Mode, NormSpec};

use crate::call::{Call, dtype};
use crate::composed;
use crate::device::native;
use crate::ops::{Arrays, Forward, Given, NormOps};
use crate::parameters::{Parameters, Running};

/// The output, and the running statistics where they have moved.
///
/// # Panics
/// Where the layer does not take such a shape, with the layer's name.
#[track_caller]
pub fn normalize<const D: usize>(
    input: Tensor<D>,
    spec: &NormSpec,
    mode: Mode,
    parameters: Parameters,
) -> (Tensor<D>, Option<Running>) {
    // Here and now: what an operation finds wrong, burn tells when the result is read.
    let geometry = match Geometry::new(spec, mode, &input.shape()) {
        Ok(geometry) => geometry,
        Err(error) => panic!("{error}"),
    };
    if geometry.is_empty() {
        return (input, None);
    }
    match call(&input, spec, mode) {
        Ok(call) => launched(input, call, parameters),
        Err(reason) => {
            say_once(spec, &reason);
            composed::normalize(input, spec, &geometry, parameters)
        }
    }
}

fn call<const D: usize>(input: &Tensor<D>, spec: &NormSpec, mode: Mode) -> Result<Arc<Call>, String> {
    let device = native(&input.device())?;
    let dtype = dtype(input.dtype()).ok_or_else(|| format!("kernels have no {:?}", input.dtype()))?;
    Call::find(&device, spec, mode, &input.shape(), dtype).map_err(|error| error.to_string())
}

fn launched<const D: usize>(input: Tensor<D>, call: Arc<Call>, parameters: Parameters) -> (Tensor<D>, Option<Running>) {
    let Parameters { weight, bias, mean_weight, var_weight, running } = parameters;
    let stored = running.as_ref().map(|running| FloatDType::from(running.mean.dtype()));
    // Of inputs' statistics, kernels look at no others.
    let running = running.filter(|_| call.uses_running() || call.updates());
    let (mean, var) = running.map(|running| (running.mean, running.var)).unzip();
    let arrays = Arrays {
        weight: given(weight),
        bias: given(bias),
        mean_weight: given(mean_weight),
        var_weight: given(var_weight),
        running_mean: given(mean),
        running_var: given(var),
    };
    let outputs = Dispatch::norm_forward(input.into_dispatch(), arrays, Forward { call, saves: false });
    let moved = match (outputs.running_mean, outputs.running_var) {
        (Given::Tensor(mean), Given::Tensor(var)) => Some([mean, var].map(|moved| {
            let moved: Tensor<1> = Tensor::from_dispatch(moved);
            match stored {
                Some(stored) if stored != FloatDType::F32 => moved.cast(stored),
                _ => moved,
            }
        })),
        _ => None,
    };
    (Tensor::from_dispatch(outputs.output), moved.map(|[mean, var]| Running { mean, var }))
}

/// Kernels take f32 arrays. burn casts their gradients back.
fn given(tensor: Option<Tensor<1>>) -> Given<Dispatch> {
    let as_f32 = |tensor: Tensor<1>| if tensor.dtype() == DType::F32 { tensor } else { tensor.cast(FloatDType::F32) };
    let dispatch = |tensor: Tensor<1>| -> DispatchTensor { as_f32(tensor).into_dispatch() };
    tensor.map_or(Given::Nothing, |tensor| Given::Tensor(dispatch(tensor)))
}

/// Warns of each layer and reason once.
fn say_once(spec: &NormSpec, reason: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let message = format!("{} runs on burn's own operations: {reason}", spec.name());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.insert(message.clone()) {
        log::warn!("{message}");
    }
}
