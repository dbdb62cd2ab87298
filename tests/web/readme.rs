use gpunorm::{Gpu, GpuNorm, LayerNorm, Result, Tensor};
use ndarray::Array2;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console)]
    fn log(text: &str);
}

async fn normalized() -> Result<f32> {
    let gpu = Gpu::request().await?;
    let norm = GpuNorm::new(&gpu, LayerNorm::new([64]))?;
    let x = Array2::<f32>::from_shape_fn((8, 64), |(n, i)| (n * 7 + i) as f32);
    let y = norm.forward_async(&x).await?; // arrays in, arrays out

    let resident = Tensor::from_array(&gpu, &x)?; // or tensors that stay on the GPU
    let out = norm.forward_tensor(&resident)?;
    Ok(y.sum() - out.read().await?.sum())
}

fn main() {
    wasm_bindgen_futures::spawn_local(async {
        match normalized().await {
            Ok(difference) => log(&format!("both ways the same: {}", difference == 0.0)),
            Err(error) => log(&error.to_string()),
        }
    });
}
