//! Failures that a browser tells later: they are told all the same, by the next await.

use gpunorm::{DType, Error, Gpu, GpuNorm, LayerNorm, Tensor};
use ndarray::Array2;
use wgpu::{BufferDescriptor, BufferUsages};

use crate::case::{Outcome, text};
use crate::{ensure, lack};

/// A tensor that no software adapter can have, and just one that a program can.
const LARGEST: usize = (1 << 28) - 1;

macro_rules! expect {
    ($call:expr, $variant:pat) => {
        match $call {
            Err($variant) => {}
            other => return Err(format!("{}: {other:?}", stringify!($call))),
        }
    };
}

pub async fn no_adapter() -> Outcome {
    for what in ["adapter", "gpu"] {
        lack(what);
        let opened = Gpu::request().await;
        lack("nothing");
        match opened {
            Err(Error::NoAdapter { reason, .. }) if reason.contains("browser") => {}
            other => return Err(format!("without {what}: {other:?}")),
        }
    }
    Gpu::request().await.map(drop).map_err(text)
}

/// What could not be made says so whenever it is read, and nothing else does.
pub async fn memory(gpu: &Gpu) -> Outcome {
    let small = Tensor::zeros(gpu, &[4], DType::F32).map_err(text)?;
    let large = Tensor::zeros(gpu, &[LARGEST], DType::F32).map_err(text)?;
    expect!(gpu.check().await, Error::OutOfMemory { bytes: Some(0x4000_0000), .. });
    expect!(large.narrow(0, 0, 4).map_err(text)?.read().await, Error::OutOfMemory { .. });
    expect!(large.narrow(0, 0, 4).map_err(text)?.read().await, Error::OutOfMemory { .. });
    let read = small.read().await;
    ensure(read.as_ref().is_ok_and(|values| values.len() == 4), || format!("{read:?}"))?;
    // Its memory is nobody's.
    drop(large);
    let again = Tensor::zeros(gpu, &[LARGEST], DType::F32).map_err(text)?;
    expect!(again.narrow(0, 0, 4).map_err(text)?.read().await, Error::OutOfMemory { .. });
    gpu.check().await.map_err(text)
}

/// What the first failure brings about is not told after it.
pub async fn the_first_is_told_once(gpu: &Gpu) -> Outcome {
    let norm = GpuNorm::new(gpu, LayerNorm::new([LARGEST / 5]).affine(false)).map_err(text)?;
    gpu.check().await.map_err(text)?;
    let input = Tensor::zeros(gpu, &[5, LARGEST / 5], DType::F32).map_err(text)?;
    let output = norm.forward_tensor(&input).map_err(text)?;
    expect!(gpu.check().await, Error::OutOfMemory { .. });
    gpu.check().await.map_err(text)?;
    expect!(output.narrow(0, 0, 1).map_err(text)?.read().await, Error::OutOfMemory { .. });
    gpu.check().await.map_err(text)
}

/// A buffer of an app's device.
fn buffer(device: &wgpu::Device) -> wgpu::Buffer {
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC;
    device.create_buffer(&BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false })
}

pub async fn another_devices_buffer(gpu: &Gpu) -> Outcome {
    let other = Gpu::request().await.map_err(text)?;
    let wrapped = Tensor::wrap(gpu, buffer(other.device()), 0, &[4], DType::F32).map_err(text)?;
    expect!(gpu.check().await, Error::OtherDevice { .. });
    expect!(wrapped.read().await, Error::OtherDevice { .. });
    // Which did not look at it.
    other.check().await.map_err(text)
}

pub async fn a_buffer_that_is_gone(gpu: &Gpu) -> Outcome {
    let x = Tensor::wrap(gpu, buffer(gpu.device()), 0, &[2, 8], DType::F32).map_err(text)?;
    let norm = GpuNorm::new(gpu, LayerNorm::new([8])).map_err(text)?;
    norm.forward_tensor(&x).map_err(text)?.read().await.map_err(text)?;
    x.buffer().destroy();
    let y = norm.forward_tensor(&x).map_err(text)?;
    expect!(y.read().await, Error::BufferUnusable { .. });
    gpu.check().await.map_err(text)
}

/// Everything says so, once the browser has.
async fn lost(gpu: &Gpu) -> Outcome {
    let x = Tensor::from_array(gpu, &Array2::<f32>::ones((2, 8))).map_err(text)?;
    let norm = GpuNorm::new(gpu, LayerNorm::new([8])).map_err(text)?;
    norm.forward_tensor(&x).map_err(text)?.read().await.map_err(text)?;
    gpu.device().destroy();
    let y = norm.forward_tensor(&x).map_err(text)?;
    expect!(y.read().await, Error::DeviceLost { .. });
    expect!(gpu.check().await, Error::DeviceLost { .. });
    expect!(x.read().await, Error::DeviceLost { .. });
    expect!(norm.read_state_dict("").await, Error::DeviceLost { .. });
    // And what elsewhere says so at once does it here, too.
    expect!(norm.forward_tensor(&x), Error::DeviceLost { .. });
    expect!(GpuNorm::new(gpu, LayerNorm::new([8])), Error::DeviceLost { .. });
    expect!(norm.forward_async(&Array2::<f32>::ones((2, 8))).await, Error::DeviceLost { .. });
    Ok(())
}

pub async fn a_lost_device() -> Outcome {
    lost(&Gpu::request().await.map_err(text)?).await
}

/// Whose own callback is told as well.
pub async fn a_lost_device_of_the_apps() -> Outcome {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = instance.request_adapter(&Default::default()).await.map_err(text)?;
    let (device, queue) = adapter.request_device(&Default::default()).await.map_err(text)?;
    let told = std::sync::Arc::new(std::sync::OnceLock::new());
    let tell = told.clone();
    device.set_device_lost_callback(move |reason, _| tell.set(reason).unwrap());
    lost(&Gpu::from_device(device, queue)).await?;
    ensure(told.get().is_some(), || "the app's callback was not called".into())
}
