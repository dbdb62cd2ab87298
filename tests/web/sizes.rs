//! Sizes whose products do not fit an address of 32 bits.

use gpunorm::reference::State;
use gpunorm::unstable::Geometry;
use gpunorm::{BatchNorm, DType, Error, Gpu, GpuNorm, LayerNorm, Mode, NormSpec, Tensor};

use crate::case::{Outcome, text};
use crate::ensure;

fn is_too_large<T>(result: gpunorm::Result<T>, what: &str) -> Outcome {
    match result {
        Err(Error::TooLarge { .. }) => Ok(()),
        Err(error) => Err(format!("{what}: {error}")),
        Ok(_) => Err(format!("{what}: it is there")),
    }
}

pub async fn beyond_addresses(gpu: &Gpu) -> Outcome {
    // Products that wrap to 0 and to little, and those of an array that is empty; and one beyond what an f64 array can be.
    let shapes: [&[usize]; 6] =
        [&[1 << 20, 1 << 14, 0], &[1 << 16, 1 << 16], &[65_537, 65_537], &[1 << 30], &[usize::MAX; 5], &[1 << 28]];
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 4096,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    });
    let small = Tensor::zeros(gpu, &[0, 4], DType::F32).map_err(text)?;
    for shape in shapes {
        for dtype in [DType::F32, DType::F16] {
            is_too_large(Tensor::zeros(gpu, shape, dtype), &format!("zeros of {shape:?}"))?;
            let wrapped = Tensor::wrap(gpu, buffer.clone(), 0, shape, dtype);
            is_too_large(wrapped, &format!("a buffer as {shape:?}"))?;
        }
        is_too_large(Tensor::from_slice::<f32>(gpu, &[], shape), &format!("nothing as {shape:?}"))?;
        is_too_large(small.reshape(shape), &format!("nothing seen as {shape:?}"))?;
        let spec: NormSpec = LayerNorm::new(&shape[shape.len() - 1..]).into();
        is_too_large(Geometry::new(&spec, Mode::Training, shape), &format!("a geometry of {shape:?}"))?;
    }
    let norm = GpuNorm::new(gpu, BatchNorm::new(1 << 14)).map_err(text)?;
    is_too_large(norm.plan(&[1 << 20, 1 << 14], DType::F32), "a plan")?;
    is_too_large(norm.plan(&[1 << 20, 1 << 14, 0], DType::F32), "a plan of nothing")?;
    let huge: NormSpec = LayerNorm::new([1 << 16, 1 << 16]).into();
    is_too_large(GpuNorm::new(gpu, huge.clone()), "a layer")?;
    let oracle = State::new(&huge);
    ensure(matches!(oracle, Err(Error::OutOfMemory { .. })), || format!("the oracle's: {oracle:?}"))
}
