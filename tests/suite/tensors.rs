//! Tensors and buffers that a call does not take: a typed error with these words, and nothing changed.

use gpunorm::{BatchNorm, DType, Error, Gpu, GpuNorm, Tensor};
use wgpu::{BufferDescriptor, BufferUsages};

use super::errors::refused;
use super::{adapters, devices};

#[test]
fn tensors_that_a_call_does_not_take() {
    for (name, gpu) in adapters::all() {
        let norm = GpuNorm::new(gpu, BatchNorm::new(6)).unwrap();
        let before = norm.state_dict("").unwrap();
        let zeros = |shape: &[usize], dtype| Tensor::zeros(gpu, shape, dtype).unwrap();
        let x = zeros(&[4, 6, 8], DType::F32);
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let mut encode = |x: &Tensor, y: &Tensor| norm.encode_forward(&mut encoder, x, y);
        let told = "the output: expected shape [4, 6, 8], got [4, 8, 6]";
        refused!(encode(&x, &zeros(&[4, 8, 6], DType::F32)), Error::Shape { .. }, told);
        let told = "the output: expected f32 elements, got bf16";
        refused!(encode(&x, &zeros(&[4, 6, 8], DType::BF16)), Error::ElementType { .. }, told);
        let told = "the output: expected f16 elements, got f32";
        refused!(encode(&zeros(&[4, 6, 8], DType::F16), &x), Error::ElementType { .. }, told);
        gpu.queue().submit([encoder.finish()]);
        assert_eq!(norm.state_dict("").unwrap(), before, "{name}");
    }
}

/// Parts of one buffer cannot be bound for reading and for writing at once, even where they do not overlap.
#[test]
fn parts_of_one_buffer() {
    for (name, gpu) in adapters::all() {
        let norm = GpuNorm::new(gpu, BatchNorm::new(6)).unwrap();
        let buffer = Tensor::zeros(gpu, &[4096], DType::F32).unwrap().buffer().clone();
        let part = |offset| Tensor::wrap(gpu, buffer.clone(), offset, &[4, 6, 8], DType::F32).unwrap();
        for offset in [256, 4096] {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            let told = "the output, which is written, shares a buffer with the input, which wgpu cannot bind beside it; \
                        give one of them another buffer";
            refused!(norm.encode_forward(&mut encoder, &part(0), &part(offset)), Error::Aliasing { .. }, told);
            refused!(norm.profile(&part(0), &part(offset)), Error::Aliasing { .. }, told);
        }
        // All of one is in place.
        norm.profile(&part(0), &part(0)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// Two devices of one instance. wgpu itself panics on buffers and encoders of another instance.
fn two_devices() -> [Gpu; 2] {
    let (_, adapter) = devices::adapters().next().unwrap();
    [(); 2].map(|()| pollster::block_on(Gpu::from_adapter(adapter)).unwrap())
}

#[test]
fn tensors_of_another_device() {
    let [gpu, other] = two_devices();
    let norm = GpuNorm::new(&gpu, BatchNorm::new(6)).unwrap();
    let before = norm.state_dict("").unwrap();
    let x = Tensor::zeros(&gpu, &[4, 6, 8], DType::F32).unwrap();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    for other in [&other, adapters::first()] {
        let foreign = Tensor::zeros(other, &[4, 6, 8], DType::F32).unwrap();
        let told = "the input belongs to another wgpu device";
        refused!(norm.encode_forward(&mut encoder, &foreign, &x), Error::OtherDevice { .. }, told);
        refused!(norm.forward_tensor(&foreign), Error::OtherDevice { .. }, told);
        let told = "the output belongs to another wgpu device";
        refused!(norm.encode_forward(&mut encoder, &x, &foreign), Error::OtherDevice { .. }, told);
        refused!(norm.profile(&x, &foreign), Error::OtherDevice { .. }, told);
    }
    gpu.queue().submit([encoder.finish()]);
    // An encoder does not tell its device; wgpu does, when the app finishes it.
    let y = Tensor::zeros(&gpu, x.shape(), DType::F32).unwrap();
    let mut encoder = other.device().create_command_encoder(&Default::default());
    let _ = norm.encode_forward(&mut encoder, &x, &y);
    drop(encoder);
    assert_eq!(norm.state_dict("").unwrap(), before);
}

/// A buffer is the app's too: it may be gone, or mapped.
#[test]
fn buffers_that_cannot_be_used() {
    for (name, gpu) in adapters::all() {
        let norm = GpuNorm::new(gpu, BatchNorm::new(6)).unwrap();
        let before = norm.state_dict("").unwrap();
        let gone = Tensor::zeros(gpu, &[4, 6, 8], DType::F32).unwrap();
        gone.buffer().destroy();
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC;
        let descriptor = BufferDescriptor { label: Some("mine"), size: 1024, usage, mapped_at_creation: true };
        let mapped = Tensor::wrap(gpu, gpu.device().create_buffer(&descriptor), 0, &[4, 6, 8], DType::F32).unwrap();
        for (x, reason) in [(gone, "has been destroyed"), (mapped, "'mine' label is still mapped")] {
            let calls = [
                ("running a forward", norm.forward_tensor(&x).map(drop)),
                ("reading a tensor", x.to_array().map(drop)),
            ];
            for (during, call) in calls {
                let told = call.unwrap_err().to_string();
                assert!(told.starts_with("a buffer cannot be used: ") && told.contains(reason), "{name}: {told}");
                assert!(told.ends_with(&format!("(while {during})")), "{name}: {told}");
            }
        }
        let gone = gpu.device().create_buffer(&BufferDescriptor { mapped_at_creation: false, ..descriptor });
        gone.destroy();
        let wrapped = Tensor::wrap(gpu, gone, 0, &[1], DType::F32).and_then(|tensor| tensor.to_array());
        let told = wrapped.unwrap_err().to_string();
        assert!(told.contains("'mine' label has been destroyed"), "{name}: {told}");
        assert_eq!(norm.state_dict("").unwrap(), before, "{name}");
    }
}

#[test]
fn buffers_that_cannot_be_wrapped() {
    for (name, gpu) in adapters::all() {
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC;
        let buffer = |size, usage| {
            gpu.device().create_buffer(&BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        };
        let wrap = |buffer, offset, shape: &[usize], dtype| {
            Tensor::wrap(gpu, buffer, offset, shape, dtype).map(|tensor| tensor.len())
        };
        assert_eq!(wrap(buffer(1024, usage), 0, &[16, 16], DType::F32), Ok(256), "{name}");
        assert_eq!(wrap(buffer(1024, usage), 256, &[3, 64], DType::F32), Ok(192), "{name}");
        assert_eq!(wrap(buffer(1024, usage), 1024, &[0], DType::F32), Ok(0), "{name}");
        let told = "a tensor of shape [16, 17] needs 1088 bytes from offset 0, the buffer has 1024";
        refused!(wrap(buffer(1024, usage), 0, &[16, 17], DType::F32), Error::BufferTooSmall { .. }, told);
        let told = "a tensor of shape [193] needs 772 bytes from offset 256, the buffer has 1024";
        refused!(wrap(buffer(1024, usage), 256, &[193], DType::F32), Error::BufferTooSmall { .. }, told);
        // The last word of an odd number of halves.
        let told = "a tensor of shape [513] needs 1028 bytes from offset 0, the buffer has 1024";
        refused!(wrap(buffer(1024, usage), 0, &[513], DType::F16), Error::BufferTooSmall { .. }, told);
        let far = u64::MAX / 256 * 256;
        let told = format!("a tensor of shape [64] needs 256 bytes from offset {far}, the buffer has 1024");
        refused!(wrap(buffer(1024, usage), far, &[64], DType::F32), Error::BufferTooSmall { .. }, told);
        let told = format!("a tensor needs {} bytes, this device allows {}", u64::MAX, gpu.caps().max_buffer);
        refused!(wrap(buffer(1024, usage), 0, &[usize::MAX, 2], DType::F32), Error::TooLarge { .. }, told);
        let alignment = gpu.caps().alignment;
        for offset in [1, 2, alignment / 2] {
            let told =
                format!("the offset {offset} is not a multiple of this device's storage offset alignment, {alignment}");
            refused!(wrap(buffer(1024, usage), offset, &[1], DType::F32), Error::BufferAlignment { .. }, told);
        }
        let found = "BufferUsages(COPY_DST | STORAGE)";
        let told = format!("the buffer needs usage BufferUsages(COPY_SRC | STORAGE), it has {found}");
        let lacking = buffer(1024, BufferUsages::STORAGE | BufferUsages::COPY_DST);
        refused!(wrap(lacking, 0, &[1], DType::F32), Error::BufferUsage { .. }, told);
    }
}

#[test]
fn buffers_of_another_device() {
    let [gpu, other] = two_devices();
    let foreign = Tensor::zeros(&other, &[64], DType::F32).unwrap().buffer().clone();
    let told = "the wrapped buffer belongs to another wgpu device";
    refused!(Tensor::wrap(&gpu, foreign, 0, &[1], DType::F32), Error::OtherDevice { .. }, told);
}
