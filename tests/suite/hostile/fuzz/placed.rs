//! Tensors in buffers of the app's, with bytes around them that have to stay.

use gpunorm::{DType, Error, Gpu, Tensor};
use half::{bf16, f16};
use wgpu::BufferUsages;
use wgpu::util::{BufferInitDescriptor, DeviceExt};

/// NaN in every element type, so that what reads it shows it.
const GUARD: u8 = 0xff;

pub struct Placed {
    pub tensor: Tensor,
    bytes: Vec<u8>,
}

fn encoded(values: &[f32], dtype: DType) -> Vec<u8> {
    let narrow = |bits: fn(f32) -> u16| values.iter().flat_map(|&value| bits(value).to_le_bytes()).collect();
    match dtype {
        DType::F32 => bytemuck::cast_slice(values).to_vec(),
        DType::F16 => narrow(|value| f16::from_f32(value).to_bits()),
        DType::BF16 => narrow(|value| bf16::from_f32(value).to_bits()),
        _ => unimplemented!("{dtype}"),
    }
}

impl Placed {
    /// At `offset`, and with as many bytes after it.
    pub fn new(gpu: &Gpu, offset: u64, shape: &[usize], values: &[f32], dtype: DType) -> Result<Placed, Error> {
        let values = encoded(values, dtype);
        let mut bytes = vec![GUARD; 2 * offset as usize + values.len().next_multiple_of(16).max(16)];
        bytes[offset as usize..][..values.len()].copy_from_slice(&values);
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let descriptor = BufferInitDescriptor { label: None, contents: &bytes, usage };
        let buffer = gpu.device().create_buffer_init(&descriptor);
        Ok(Placed { tensor: Tensor::wrap(gpu, buffer, offset, shape, dtype)?, bytes })
    }

    /// Nothing around the tensor has changed. `whole` is the device with all of its limits.
    pub fn check_guard(&self, whole: &Gpu) -> Result<(), String> {
        self.check(whole, |at, tensor| !tensor.contains(&at))
    }

    /// Nor has the tensor.
    pub fn check_unchanged(&self, whole: &Gpu) -> Result<(), String> {
        self.check(whole, |_, _| true)
    }

    fn check(&self, whole: &Gpu, kept: impl Fn(usize, std::ops::Range<usize>) -> bool) -> Result<(), String> {
        let buffer = self.tensor.buffer().clone();
        let words = self.bytes.len() / 4;
        let found = Tensor::wrap(whole, buffer, 0, &[words], DType::F32).and_then(|all| all.to_array());
        let found = found.map_err(|error| error.to_string())?.into_raw_vec_and_offset().0;
        let start = self.tensor.offset() as usize;
        let tensor = start..start + self.tensor.len() * self.tensor.dtype().size();
        for (at, (found, before)) in bytemuck::cast_slice::<f32, u8>(&found).iter().zip(&self.bytes).enumerate() {
            if found != before && kept(at, tensor.clone()) {
                return Err(format!("byte {at} was {before:#x}, is {found:#x}; the tensor has bytes {tensor:?}"));
            }
        }
        Ok(())
    }
}
