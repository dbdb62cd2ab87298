//! What is tested in a browser.

use std::future::Future;

use gpunorm::{Gpu, GpuNorm, LayerNorm, Mode, Tensor, reference};
use ndarray::Array2;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// Sends this to `cargo xtask test-web`.
    fn report(path: &str, body: &str);
}

fn main() {
    std::panic::set_hook(Box::new(|panic| {
        report("/failed", &panic.to_string());
        report("/end", "");
    }));
    wasm_bindgen_futures::spawn_local(async {
        let gpu = Gpu::request().await.unwrap();
        report("/note", &format!("{:?}", gpu.caps()));
        test("forward", forward(&gpu)).await;
        report("/end", "");
    });
}

async fn test(name: &str, test: impl Future<Output = Result<(), String>>) {
    match test.await {
        Ok(()) => report("/passed", name),
        Err(reason) => report("/failed", &format!("{name}: {reason}")),
    }
}

async fn forward(gpu: &Gpu) -> Result<(), String> {
    let x = Array2::<f32>::from_shape_fn((8, 100), |(n, i)| ((n * 7 + i * 3) % 11) as f32);
    let norm = GpuNorm::new(gpu, LayerNorm::new([100])).map_err(|error| error.to_string())?;
    let x_gpu = Tensor::from_array(gpu, &x).map_err(|error| error.to_string())?;
    let y = norm.forward_tensor(&x_gpu).map_err(|error| error.to_string())?;
    let y = y.read().await.map_err(|error| error.to_string())?;
    let spec = norm.spec().clone();
    let mut state = reference::State::new(&spec).map_err(|error| error.to_string())?;
    let expected = reference::forward(&spec, Mode::Training, &mut state, &x.mapv(f64::from).into_dyn())
        .map_err(|error| error.to_string())?;
    let worst = y.iter().zip(&expected.output).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    if worst < 1e-5 { Ok(()) } else { Err(format!("off by {worst}")) }
}
