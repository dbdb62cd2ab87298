//! What is awaited where elsewhere one waits.

use gpunorm::{BatchNorm, DType, Gpu, GpuNorm, LayerNorm, Mode, StateDict, Tensor};
use ndarray::Array2;

use crate::case::{Outcome, text};
use crate::ensure;

pub async fn give_what_they_are_called_for(gpu: &Gpu) -> Outcome {
    let x = Array2::<f32>::from_shape_fn((8, 6), |(n, c)| ((n * 7 + c * 3) % 11) as f32);
    let norm = GpuNorm::new(gpu, BatchNorm::new(6)).map_err(text)?;
    let input = Tensor::from_array(gpu, &x).map_err(text)?;
    let output = norm.forward_tensor(&input).map_err(text)?;
    let tensor = output.read().await.map_err(text)?;
    let array = norm.forward_async(&x).await.map_err(text)?;
    ensure(array.clone().into_dyn() == tensor, || format!("forward_async: {array:?} for {tensor:?}"))?;
    let called = norm.call().mode(Mode::Training).forward_async(&x).await.map_err(text)?;
    ensure(called == array, || format!("a call's forward_async: {called:?} for {array:?}"))?;
    let values: Vec<f32> = output.read_as().await.map_err(text)?;
    ensure(tensor.iter().eq(&values), || format!("read_as: {values:?} for {tensor:?}"))?;

    let steps = norm.plan(input.shape(), DType::F32).map_err(text)?.dispatches();
    let times = norm.profile_async(&input, &output).await.map_err(text)?;
    ensure(times.as_ref().is_none_or(|times| times.len() == steps), || format!("profile_async: {times:?}"))?;
    let (_, saved) = norm.forward_saved(&input).map_err(text)?;
    let gradients = norm.zero_gradients(&saved).map_err(text)?;
    let times = norm.profile_backward_async(&output, &saved, &gradients).await.map_err(text)?;
    let able = gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY);
    ensure(times.is_some() == able, || format!("profile_backward_async: {times:?}, timestamps {able}"))?;

    // A profile is a forward too, where there are timestamps.
    let batches = norm.read_num_batches_tracked().await.map_err(text)?;
    let expected = Some(4 + u32::from(able));
    ensure(batches == expected, || format!("read_num_batches_tracked: {batches:?} for {expected:?}"))?;
    let state = norm.read_state_dict("bn").await.map_err(text)?;
    let bytes = state.to_safetensors().map_err(text)?;
    let read = StateDict::from_safetensors(&bytes).map_err(text)?;
    ensure(read == state && state.len() == 5, || format!("{read:?} for {state:?}"))
}

/// Once it is awaited, all is compiled: the first call takes no longer than the next ones.
pub async fn warm_up(gpu: &Gpu) -> Outcome {
    let spec = || LayerNorm::new([777]).eps(0.5);
    let began = now();
    gpu.warm_up_async(&[spec().into()], &[&[64, 777]], DType::F32, Mode::Training).await.map_err(text)?;
    let compiling = now() - began;
    let norm = GpuNorm::new(gpu, spec()).map_err(text)?;
    let x = Tensor::zeros(gpu, &[64, 777], DType::F32).map_err(text)?;
    gpu.check().await.map_err(text)?;
    let began = now();
    norm.forward_tensor(&x).map_err(text)?.read().await.map_err(text)?;
    let first = now() - began;
    let told = || format!("compiling took {compiling} ms, and the first forward {first} ms");
    crate::progress(&told());
    ensure(first < compiling, told)
}

#[wasm_bindgen::prelude::wasm_bindgen]
extern "C" {
    /// Milliseconds.
    #[wasm_bindgen(js_namespace = performance)]
    fn now() -> f64;
}
