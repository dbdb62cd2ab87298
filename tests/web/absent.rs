//! What browsers lack: for them this must not compile, each line refused by a word for what there is instead.

use std::sync::LazyLock;

use gpunorm::{BatchNorm, DType, Gpu, GpuNorm, Gradients, Mode, Saved, StateDict, Tensor};
use ndarray::Array2;

fn main() {
    let gpu = Gpu::new().unwrap();
    let norm = GpuNorm::new(&gpu, BatchNorm::new(2)).unwrap();
    let x = Tensor::zeros(&gpu, &[3, 2], DType::F32).unwrap();
    let array = Array2::<f32>::zeros((3, 2));
    let (saved, gradients): (LazyLock<Saved>, Gradients) = (LazyLock::new(|| todo!()), Gradients::default());
    let _ = gpu.warm_up(&[], &[], DType::F32, Mode::Training);
    let _ = x.to_array();
    let _ = x.to_vec::<f32>();
    let _ = norm.forward(&array);
    let _ = norm.call().forward(&array);
    let _ = norm.profile(&x, &x);
    let _ = norm.call().profile(&x, &x);
    let _ = norm.profile_backward(&x, &saved, &gradients);
    let _ = norm.state_dict("");
    let _ = norm.num_batches_tracked();
    let _ = StateDict::load("file");
    let _ = StateDict::load_module("file", "module");
    let _ = StateDict::new().save("file");
}
