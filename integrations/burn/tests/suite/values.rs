//! Devices, and what is in tensors.

use burn::tensor::{DType, Device, DeviceKind, FloatDType, Tensor, TensorData};
use gpunorm::half::{bf16, f16};
use gpunorm::ndarray::ArrayD;

/// The default one of burn's feature `wgpu`.
pub fn device() -> Device {
    Device::wgpu(DeviceKind::DefaultDevice)
}

/// Around `mean` with this deviation, the same for a seed.
pub fn values(shape: &[usize], mut seed: u32, mean: f32, deviation: f32) -> ArrayD<f32> {
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 24) as f32
    };
    // A sum of four uniform numbers, of variance 1/3.
    let mut normal = || (0..4).map(|_| next()).sum::<f32>() - 2.0;
    ArrayD::from_shape_simple_fn(shape, || mean + deviation * 3f32.sqrt() * normal())
}

pub fn tensor<const D: usize>(array: &ArrayD<f32>, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(array.iter().copied().collect(), array.shape().to_vec()), device)
}

/// The same of another element type, which burn need not be able to cast to.
pub fn tensor_as<const D: usize>(array: &ArrayD<f32>, dtype: FloatDType, device: &Device) -> Tensor<D> {
    let (values, shape) = (array.iter(), array.shape().to_vec());
    let data = match dtype {
        FloatDType::F16 => TensorData::new(values.map(|&value| f16::from_f32(value)).collect(), shape),
        FloatDType::BF16 => TensorData::new(values.map(|&value| bf16::from_f32(value)).collect(), shape),
        _ => return tensor(array, device),
    };
    Tensor::from_data(data, (device, DType::from(dtype)))
}

/// What is in it, as f32.
pub fn array<const D: usize>(tensor: Tensor<D>) -> ArrayD<f32> {
    let shape = tensor.dims().to_vec();
    let values = tensor.into_data().iter::<f32>().collect();
    ArrayD::from_shape_vec(shape, values).expect("as many values as the shape has")
}
