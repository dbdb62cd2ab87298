use ndarray::{Array2, ArrayD};

use super::norm::GpuNorm;
use crate::device::{Gpu, Tensor};
use crate::dtype::DType;
use crate::error::Error;
use crate::spec::{BatchNorm, LayerNorm, NormSpec, SwitchableNorm};

/// A loop of forwards lives in the memory of its first turns.
#[test]
fn a_loop_of_forwards_makes_no_buffers() {
    let gpu = Gpu::new().unwrap();
    let norm = GpuNorm::new(&gpu, LayerNorm::new([8])).unwrap();
    let mut seen = vec![];
    for turn in 0..10 {
        let x = Tensor::from_array(&gpu, &Array2::from_elem((4, 8), turn as f32)).unwrap();
        let between = norm.forward_tensor(&x).unwrap();
        let y = norm.forward_tensor(&between).unwrap();
        norm.forward(&Array2::<f32>::zeros((4, 8))).unwrap();
        y.to_array().unwrap();
        seen.push([&x, &between, &y].map(|tensor| tensor.memory().id));
    }
    let (first, later) = seen.split_at(3);
    assert!(later.iter().flatten().all(|id| first.as_flattened().contains(id)), "{seen:?}");
    assert_eq!(gpu.buffers().free().1, 1);
    gpu.empty_cache();
    assert_eq!(gpu.buffers().free(), (0, 0));
}

/// What the app has seen may be in work that it has not submitted.
#[test]
fn shown_memory_is_not_used_again() {
    let gpu = Gpu::new().unwrap();
    let norm = GpuNorm::new(&gpu, LayerNorm::new([8])).unwrap();
    let tensors = || [0, 1].map(|_| Tensor::zeros(&gpu, &[4, 8], DType::F32).unwrap());
    let [x, y] = tensors();
    let ids = [x.memory().id, y.memory().id];
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    norm.encode_forward(&mut encoder, &x, &y).unwrap();
    assert_eq!(norm.prepared.len(), 1);
    drop((x, y));
    // Nor is it kept alive by what the layer has prepared.
    assert_eq!((gpu.buffers().free().0, norm.prepared.len()), (0, 0));
    assert!(tensors().iter().all(|tensor| !ids.contains(&tensor.memory().id)));
    let buffer = tensors()[0].buffer().clone();
    assert!(tensors().iter().all(|tensor| tensor.memory().buffer != buffer));
}

/// A saved forward is of its layer, but does not keep what the layer has prepared.
#[test]
fn a_saved_forward_does_not_keep_its_layer() {
    let gpu = Gpu::new().unwrap();
    let norm = GpuNorm::new(&gpu, LayerNorm::new([8])).unwrap();
    let (_, saved) = norm.forward_saved(&Tensor::zeros(&gpu, &[4, 8], DType::F32).unwrap()).unwrap();
    assert_eq!(norm.prepared.len(), 1);
    let prepared = std::sync::Arc::downgrade(&norm.prepared);
    drop(norm);
    assert!(prepared.upgrade().is_none());
    let other = GpuNorm::new(&gpu, LayerNorm::new([8])).unwrap();
    assert_eq!(other.zero_gradients(&saved).unwrap_err(), Error::OtherLayer);
}

/// After a warm-up nothing is left to compile, in either mode.
#[test]
fn warm_up_compiles_ahead() {
    let gpu = Gpu::new().unwrap();
    let specs: [NormSpec; 2] = [BatchNorm::new(6).into(), SwitchableNorm::new(6).into()];
    let shapes: [&[usize]; 2] = [&[4, 6, 32], &[40, 6, 8, 8]];
    gpu.warm_up(&specs, &shapes).unwrap();
    let compiled = gpu.pipelines().len();
    assert!(compiled > 3);
    for (spec, shape) in specs.iter().flat_map(|spec| shapes.map(|shape| (spec, shape))) {
        let mut norm = GpuNorm::new(&gpu, spec.clone()).unwrap();
        let x = ArrayD::<f32>::zeros(shape);
        norm.forward(&x).unwrap();
        norm.eval();
        norm.forward(&x).unwrap();
    }
    assert_eq!(gpu.pipelines().len(), compiled);

    let norm = GpuNorm::new(&gpu, specs[0].clone()).unwrap();
    norm.warm_up(shapes[0], DType::F16).unwrap();
    let more = gpu.pipelines().len();
    assert!(more > compiled);
    norm.forward_tensor(&Tensor::zeros(&gpu, shapes[0], DType::F16).unwrap()).unwrap();
    assert_eq!(gpu.pipelines().len(), more);

    // And for training.
    for (spec, shape) in specs.iter().flat_map(|spec| shapes.map(|shape| (spec, shape))) {
        let norm = GpuNorm::new(&gpu, spec.clone()).unwrap();
        norm.warm_up_backward(shape, DType::F32).unwrap();
        let compiled = gpu.pipelines().len();
        let x = Tensor::zeros(&gpu, shape, DType::F32).unwrap();
        let (y, saved) = norm.forward_saved(&x).unwrap();
        norm.backward(&y, &saved).unwrap();
        assert_eq!(gpu.pipelines().len(), compiled);
    }

    let told = gpu.warm_up(&[BatchNorm::new(6).into(), LayerNorm::new([7]).into()], &shapes).unwrap_err();
    assert!(matches!(told, Error::NormalizedShape { .. }), "{told}");
}
