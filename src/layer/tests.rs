use ndarray::Array2;

use super::norm::GpuNorm;
use crate::device::{Gpu, Tensor};
use crate::dtype::DType;
use crate::error::Error;
use crate::kernel::Binding;
use crate::plan::Pass;
use crate::spec::{BatchNorm, LayerNorm, Mode, NormSpec, SwitchableNorm};

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

/// After a warm-up nothing is left to compile, in its mode and element type.
#[test]
fn warm_up_compiles_ahead() {
    let gpu = Gpu::new().unwrap();
    let specs: [NormSpec; 2] = [BatchNorm::new(6).into(), SwitchableNorm::new(6).into()];
    let shapes: [&[usize]; 2] = [&[4, 6, 32], &[40, 6, 8, 8]];
    let mut compiled = 0;
    for (mode, dtype) in [(Mode::Evaluation, DType::F16), (Mode::Training, DType::F16), (Mode::Training, DType::F32)] {
        gpu.warm_up(&specs, &shapes, dtype, mode).unwrap();
        assert!(gpu.pipelines().len().0 > compiled + 3, "{mode:?}, {dtype}");
        compiled = gpu.pipelines().len().0;
        for (spec, shape) in specs.iter().flat_map(|spec| shapes.map(|shape| (spec, shape))) {
            let norm = GpuNorm::new(&gpu, spec.clone()).unwrap();
            norm.set_mode(mode);
            let x = Tensor::zeros(&gpu, shape, dtype).unwrap();
            norm.forward_tensor(&x).unwrap();
            if mode == Mode::Training {
                let (y, saved) = norm.forward_saved(&x).unwrap();
                let gradients = norm.backward(&y, &saved).unwrap().accumulate(true);
                let mut encoder = gpu.device().create_command_encoder(&Default::default());
                norm.encode_backward(&mut encoder, &y, &saved, &gradients).unwrap();
            }
        }
        assert_eq!(gpu.pipelines().len().0, compiled, "{mode:?}, {dtype}");
    }

    let told = gpu
        .warm_up(&[BatchNorm::new(6).into(), LayerNorm::new([7]).into()], &shapes, DType::F32, Mode::Training)
        .unwrap_err();
    assert!(matches!(told, Error::NormalizedShape { .. }), "{told}");
}

/// A shader is parsed once; another shape may need other overrides of it.
#[test]
fn another_shape_parses_nothing() {
    let gpu = Gpu::new().unwrap();
    let norm = GpuNorm::new(&gpu, LayerNorm::new([64])).unwrap();
    norm.forward(&Array2::<f32>::zeros((3, 64))).unwrap();
    let (pipelines, shaders) = gpu.pipelines().len();
    norm.forward(&Array2::<f32>::zeros((4096, 64))).unwrap();
    assert_eq!(gpu.pipelines().len(), (pipelines + 1, shaders));
}

/// A buffer of the app's, and frames that wrap it anew.
struct Frames<'a> {
    norm: &'a GpuNorm,
    x: wgpu::Buffer,
    y: Tensor,
}

impl Frames<'_> {
    fn new(norm: &GpuNorm) -> Frames<'_> {
        Frames { norm, x: buffer(norm.gpu()), y: Tensor::zeros(norm.gpu(), &[2, 8], DType::F32).unwrap() }
    }

    fn frame(&self) {
        let x = Tensor::wrap(self.norm.gpu(), self.x.clone(), 0, &[2, 8], DType::F32).unwrap();
        let mut encoder = self.norm.gpu().device().create_command_encoder(&Default::default());
        self.norm.encode_forward(&mut encoder, &x, &self.y).unwrap();
    }
}

fn buffer(gpu: &Gpu) -> wgpu::Buffer {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false })
}

/// What is prepared for it is found again, and let go of when it is not wrapped any more.
#[test]
fn a_buffer_that_is_wrapped_every_frame() {
    let gpu = Gpu::new().unwrap();
    let norm = GpuNorm::new(&gpu, LayerNorm::new([8])).unwrap();
    let frames = Frames::new(&norm);
    frames.frame();
    assert_eq!(norm.prepared.len(), 0, "a buffer that is wrapped once is not held");
    let others = |count| {
        for _ in 0..count {
            Tensor::wrap(&gpu, buffer(&gpu), 0, &[2, 8], DType::F32).unwrap();
        }
    };
    for _ in 0..3 {
        others(60);
        frames.frame();
        assert_eq!(norm.prepared.len(), 1);
    }
    others(65);
    assert_eq!(norm.prepared.len(), 0);
    (0..2).for_each(|_| frames.frame());
    assert_eq!(norm.prepared.len(), 1);
    gpu.empty_cache();
    assert_eq!(norm.prepared.len(), 0);
}

#[test]
fn the_pass_that_was_used_longest_ago_is_forgotten() {
    let gpu = Gpu::new().unwrap();
    let norm = GpuNorm::new(&gpu, LayerNorm::new([8])).unwrap();
    let tensors: Vec<Tensor> = (0..4).map(|_| Tensor::zeros(&gpu, &[2, 8], DType::F32).unwrap()).collect();
    let run = |index: usize| {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        norm.encode_forward(&mut encoder, &tensors[index], &tensors[3]).unwrap();
    };
    let remembered = || {
        [0, 1, 2].map(|index| {
            let pass = [(Binding::X, &tensors[index]), (Binding::Y, &tensors[3])].into_iter();
            norm.prepared.get((Mode::Training, Pass::forward(false), super::prepared::Half::Both), pass).is_some()
        })
    };
    assert_eq!(norm.remembered_passes(), 256);
    norm.set_remembered_passes(2);
    [0, 1, 0, 2].into_iter().for_each(run);
    assert_eq!(remembered(), [true, false, true]);
    // Asking has used the last one last.
    norm.set_remembered_passes(1);
    assert_eq!(remembered(), [false, false, true]);
    norm.set_remembered_passes(0);
    run(1);
    assert_eq!(remembered(), [false; 3]);
}
