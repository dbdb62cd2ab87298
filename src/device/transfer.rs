//! Data from the program to tensors, between them, and back; of views whose rows lie apart by way of a copy.

use half::{bf16, f16};
use ndarray::{ArrayD, ArrayRef, Dimension, IxDyn};
use wgpu::BufferUsages;

use super::buffers::Purpose;
use super::copy::{copies, half_word};
use super::dispatch::{Dispatch, record};
use super::gpu::Gpu;
use super::readback::Part;
use super::tensor::{Tensor, bytes_of};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};

impl Tensor {
    /// Uploads values in row-major order, as they are: a tensor of their element type.
    ///
    /// # Errors
    /// [`Error::Shape`] where `shape` has another number of elements; [`Error::TooLarge`], [`Error::OutOfMemory`],
    /// [`Error::DeviceLost`].
    pub fn from_slice<T: Scalar>(gpu: &Gpu, values: &[T], shape: &[usize]) -> Result<Tensor> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        if bytes_of(gpu, shape, T::DTYPE)? != bytes.len() as u64 {
            return Err(count_error("the values", shape, values.len()));
        }
        Tensor::lease(gpu, shape, T::DTYPE, Some(bytes))
    }

    /// Uploads an array of any layout as f32.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn from_array<D: Dimension>(gpu: &Gpu, array: &ArrayRef<f32, D>) -> Result<Tensor> {
        Tensor::from_array_as(gpu, array, DType::F32)
    }

    /// Uploads an array, its elements rounded to `dtype` (to nearest, ties to even).
    ///
    /// # Errors
    /// As [`from_array`](Self::from_array).
    pub fn from_array_as<D: Dimension>(gpu: &Gpu, array: &ArrayRef<f32, D>, dtype: DType) -> Result<Tensor> {
        bytes_of(gpu, array.shape(), dtype)?;
        let in_order;
        let values = match array.as_slice() {
            Some(values) => values,
            None => {
                in_order = array.iter().copied().collect::<Vec<_>>();
                &in_order
            }
        };
        fn rounded<T>(values: &[f32], round: impl Fn(f32) -> T) -> Vec<T> {
            values.iter().map(|&value| round(value)).collect()
        }
        match dtype {
            DType::F32 => Tensor::from_slice(gpu, values, array.shape()),
            DType::F16 => Tensor::from_slice(gpu, &rounded(values, f16::from_f32), array.shape()),
            DType::BF16 => Tensor::from_slice(gpu, &rounded(values, bf16::from_f32), array.shape()),
        }
    }

    /// Puts values of its element type in place of all of its own, before all work that is submitted from now on.
    ///
    /// # Errors
    /// [`Error::ElementType`], [`Error::Shape`] for another number of values, [`Error::BufferUsage`] where a wrapped
    /// buffer lacks `COPY_DST`; [`Error::BufferUnusable`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn write<T: Scalar>(&self, values: &[T]) -> Result<()> {
        let during = "writing a tensor";
        if T::DTYPE != self.dtype() {
            return Err(Error::ElementType { what: "the values", expected: self.dtype(), found: T::DTYPE });
        }
        if values.len() != self.len() {
            return Err(count_error("the values", self.shape(), values.len()));
        }
        self.check_usage(BufferUsages::COPY_DST)?;
        self.gpu().checked().check_alive(during)?;
        if !self.is_contiguous() {
            let staged = Tensor::from_slice(self.gpu(), values, self.shape())?;
            return self.run(&copies([(&staged, self)], during)?, during);
        }
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let (words, rest) = bytes.split_at(bytes.len() / 4 * 4);
        let buffer = &self.memory().buffer;
        if !words.is_empty() {
            self.gpu().buffers().write(buffer, self.offset(), words, during)?;
        }
        match rest {
            [] => Ok(()),
            // The last element, of an odd number of 16-bit ones.
            half => {
                let staged = self.gpu().buffers().buffer(Purpose::WORD, 4, Some(half))?;
                let to = (buffer, self.offset() + words.len() as u64);
                self.run(&[half_word(self.gpu(), (&staged, 0), to, during)?], during)
            }
        }
    }

    /// Copies the elements of a tensor of the same shape and element type on the GPU.
    ///
    /// # Errors
    /// [`Error::OtherDevice`], [`Error::Shape`], [`Error::ElementType`], [`Error::Aliasing`] where both are in one buffer,
    /// [`Error::Strides`] where the rows that both have lie apart in more than two steps,
    /// [`Error::BufferUnusable`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn copy_from(&self, source: &Tensor) -> Result<()> {
        let during = "copying a tensor";
        source.check_strided(self.gpu(), "the source", self.shape(), self.dtype())?;
        if self.shares_buffer(source) {
            return Err(Error::Aliasing { what: "tensor", with: "source" });
        }
        self.gpu().checked().check_alive(during)?;
        self.run(&copies([(source, self)], during)?, during)
    }

    fn run(&self, dispatches: &[Dispatch], during: &'static str) -> Result<()> {
        let mut encoder = self.gpu().checked().encoder(during)?;
        record(&mut encoder, dispatches);
        self.gpu().checked().submit(encoder, during)
    }

    /// Waits for the work before it and copies the elements back, in row-major order and as they are. `to_vec()` blocks for
    /// it, outside of browsers.
    ///
    /// # Errors
    /// [`Error::ElementType`] where they are of another type; [`Error::DeviceLost`], [`Error::OutOfMemory`],
    /// [`Error::BufferUnusable`].
    pub async fn read_as<T: Scalar>(&self) -> Result<Vec<T>> {
        if T::DTYPE != self.dtype() {
            return Err(Error::ElementType { what: "the tensor", expected: T::DTYPE, found: self.dtype() });
        }
        let during = "reading a tensor";
        self.read_bytes(self.gpu().checked().encoder(during)?, during, values).await
    }

    /// Waits for the work before it and copies the tensor back, widened to f32. `to_array()` blocks for it, outside of
    /// browsers: there the wait for the device happens inside the first poll, since somebody has to drive it.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`], [`Error::BufferUnusable`].
    pub async fn read(&self) -> Result<ArrayD<f32>> {
        let during = "reading a tensor";
        self.read_after(self.gpu().checked().encoder(during)?, during).await
    }

    /// As [`read`](Self::read), after the work of `encoder`, in one submission.
    pub(crate) async fn read_after(&self, encoder: wgpu::CommandEncoder, during: &'static str) -> Result<ArrayD<f32>> {
        let dtype = self.dtype();
        let widened = self.read_bytes(encoder, during, |bytes| match dtype {
            DType::F32 => values(bytes),
            DType::F16 => values(bytes).into_iter().map(f16::to_f32).collect(),
            DType::BF16 => values(bytes).into_iter().map(bf16::to_f32).collect(),
        });
        let values = widened.await?;
        let found = values.len();
        ArrayD::from_shape_vec(IxDyn(self.shape()), values).map_err(|_| count_error("readback", self.shape(), found))
    }

    async fn read_bytes<T>(
        &self,
        mut encoder: wgpu::CommandEncoder,
        during: &'static str,
        decode: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        let copied = if self.is_contiguous() {
            None
        } else {
            self.gpu().checked().check_alive(during)?;
            let copy = Tensor::uninitialized(self.gpu(), self.shape(), self.dtype())?;
            record(&mut encoder, &copies([(self, &copy)], during)?);
            Some(copy)
        };
        let tensor = copied.as_ref().unwrap_or(self);
        let parts = [Part { buffer: &tensor.memory().buffer, offset: tensor.offset(), bytes: tensor.byte_len() }];
        let read = self.gpu().buffers().read(encoder, &parts, during, |parts| decode(parts[0])).await;
        match self.memory().failure.get() {
            Some(failure) => Err(failure.clone()),
            None => read,
        }
    }
}

/// Mapped memory is aligned, and then this is one copy.
fn values<T: Scalar>(bytes: &[u8]) -> Vec<T> {
    bytemuck::try_cast_slice(bytes).map_or_else(|_| bytemuck::pod_collect_to_vec(bytes), <[T]>::to_vec)
}

fn count_error(what: &'static str, shape: &[usize], found: usize) -> Error {
    Error::Shape { what, expected: shape.to_vec(), found: vec![found] }
}
