//! Arrays on the GPU.

use std::fmt;
use std::sync::Arc;

use wgpu::{BindingResource, BufferBinding, BufferSize, BufferUsages};

use super::buffers::{Purpose, buffer_size};
use super::gpu::Gpu;
use super::memory::{Failure, Lease, Memory};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::spec::sizes::{MOST_ELEMENTS, bytes};
use crate::spec::strides::contiguous;

/// An array in a GPU buffer, row-major and contiguous unless it is a [strided](Tensor::as_strided) view. Clones share the memory.
#[derive(Clone)]
pub struct Tensor {
    gpu: Gpu,
    lease: Arc<Lease>,
    offset: u64,
    shape: Vec<usize>,
    strides: Vec<usize>,
    dtype: DType,
}

/// What a buffer behind a tensor must allow: reading and writing it in shaders, and copying it back.
const USAGE: BufferUsages = BufferUsages::STORAGE.union(BufferUsages::COPY_SRC);

impl Tensor {
    /// A tensor of zeros.
    ///
    /// # Errors
    /// As [`from_array`](Self::from_array).
    pub fn zeros(gpu: &Gpu, shape: &[usize], dtype: DType) -> Result<Tensor> {
        let during = "making a tensor";
        let tensor = Tensor::uninitialized(gpu, shape, dtype)?;
        let mut encoder = gpu.checked().encoder(during)?;
        encoder.clear_buffer(&tensor.memory().buffer, 0, None);
        gpu.checked().submit(encoder, during)?;
        Ok(tensor)
    }

    /// A tensor of any content.
    pub(crate) fn uninitialized(gpu: &Gpu, shape: &[usize], dtype: DType) -> Result<Tensor> {
        Tensor::lease(gpu, shape, dtype, None)
    }

    /// The elements of `buffer` from byte `offset` on, without a copy. The buffer must be of `gpu`'s device, have the
    /// usages `STORAGE` and `COPY_SRC`, and reach to the end of the tensor's last 4-byte word; `offset` must be a
    /// multiple of the device's `min_storage_buffer_offset_alignment`. A buffer of another `wgpu::Instance` cannot be told
    /// from one of this: wgpu itself mistakes it or panics.
    ///
    /// A buffer that is wrapped again, such as every frame, costs next to nothing and finds what layers have prepared for it.
    /// For that the `Gpu` holds it until 64 other wraps came by without it, or [`empty_cache`](Gpu::empty_cache).
    ///
    /// # Errors
    /// [`Error::BufferUsage`], [`Error::BufferTooSmall`], [`Error::BufferAlignment`], [`Error::OtherDevice`],
    /// [`Error::TooLarge`], [`Error::OutOfMemory`], [`Error::DeviceLost`]. That a buffer is destroyed or mapped shows when it is
    /// used: [`Error::BufferUnusable`].
    pub fn wrap(gpu: &Gpu, buffer: wgpu::Buffer, offset: u64, shape: &[usize], dtype: DType) -> Result<Tensor> {
        let needed = bytes_of(gpu, shape, dtype)?.next_multiple_of(4);
        let (size, alignment) = (buffer.size(), gpu.caps().alignment);
        check_usage(&buffer, USAGE)?;
        if !offset.is_multiple_of(alignment) {
            return Err(Error::BufferAlignment { offset, alignment });
        }
        let Some(end) = offset.checked_add(needed).filter(|&end| end <= size) else {
            return Err(Error::BufferTooSmall { shape: shape.to_vec(), needed, offset, size });
        };
        if usize::try_from(end).is_err() {
            let limit = usize::MAX as u64;
            return Err(Error::TooLarge { what: "the end of a tensor", needed: end, unit: "bytes", limit });
        }
        let lease = gpu.buffers().wrap(buffer, |buffer, failure| probe(gpu, buffer, failure))?;
        Ok(Tensor { gpu: gpu.clone(), lease, offset, shape: shape.to_vec(), strides: contiguous(shape), dtype })
    }

    pub(super) fn lease(gpu: &Gpu, shape: &[usize], dtype: DType, fill: Option<&[u8]>) -> Result<Tensor> {
        let lease = gpu.buffers().lease_tensor(bytes_of(gpu, shape, dtype)?, fill)?;
        lease.set_reusable(true);
        let (gpu, lease, shape, strides) = (gpu.clone(), Arc::new(lease), shape.to_vec(), contiguous(shape));
        Ok(Tensor { gpu, lease, offset: 0, shape, strides, dtype })
    }

    /// Another view of the same memory, from this byte on.
    pub(super) fn view(&self, offset: u64, shape: &[usize], strides: Vec<usize>) -> Tensor {
        Tensor { offset, shape: shape.to_vec(), strides, ..self.clone() }
    }

    /// Sizes of the dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// From one entry of each dimension to the next, in elements.
    pub fn strides(&self) -> &[usize] {
        &self.strides
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The buffer behind the tensor.
    pub fn buffer(&self) -> &wgpu::Buffer {
        self.forbid_reuse();
        &self.memory().buffer
    }

    /// The tensor's words, for a bind group of the app's own shaders. Of a view, what lies between its rows is
    /// among them, and before it what lies between the last place where a binding may begin and its [`offset`](Self::offset).
    pub fn as_binding(&self) -> BindingResource<'_> {
        let offset = self.binding_offset();
        let size = BufferSize::new(self.offset - offset + self.bound_bytes());
        BindingResource::Buffer(BufferBinding { buffer: self.buffer(), offset, size })
    }

    /// The last byte at which a binding may begin that holds all of it.
    fn binding_offset(&self) -> u64 {
        self.offset - self.offset % self.gpu.caps().alignment
    }

    /// What a binding of all of it takes: whole words, and not none, which wgpu takes for all that follows.
    pub(crate) fn bound_bytes(&self) -> u64 {
        (self.extent() as u64 * self.dtype.size() as u64).next_multiple_of(4).max(4)
    }

    /// The same in whole units of 16 bytes, where the buffer goes on so far.
    pub(crate) fn bound_units(&self) -> Option<u64> {
        let bytes = self.bound_bytes().next_multiple_of(16);
        (self.offset() + bytes <= self.memory().buffer.size()).then_some(bytes)
    }

    /// The app may now have recorded work with the tensor: its memory goes to no other one.
    pub(crate) fn forbid_reuse(&self) {
        self.lease.set_reusable(false);
    }

    pub(crate) fn memory(&self) -> &Memory {
        self.lease.memory()
    }

    /// Whether it is of this device, shape and element type, in one piece that a binding holds alone.
    pub(crate) fn check(&self, gpu: &Gpu, what: &'static str, shape: &[usize], dtype: DType) -> Result<()> {
        self.check_strided(gpu, what, shape, dtype)?;
        if self.is_bound_alone(gpu.caps().alignment) {
            return Ok(());
        }
        Err(self.strides_error(what, "here it has to be contiguous and begin where a binding may"))
    }

    /// Whether it is in one piece that begins where a binding may.
    pub(crate) fn is_bound_alone(&self, alignment: u64) -> bool {
        self.is_contiguous() && self.offset.is_multiple_of(alignment)
    }

    /// Whether it is of this device, shape and element type, wherever its rows lie.
    pub(crate) fn check_strided(&self, gpu: &Gpu, what: &'static str, shape: &[usize], dtype: DType) -> Result<()> {
        if !self.gpu.is(gpu) {
            return Err(Error::OtherDevice { what });
        }
        if self.shape != shape {
            return Err(Error::Shape { what, expected: shape.to_vec(), found: self.shape.clone() });
        }
        if self.dtype != dtype {
            return Err(Error::ElementType { what, expected: dtype, found: self.dtype });
        }
        Ok(())
    }

    pub(crate) fn check_usage(&self, needed: BufferUsages) -> Result<()> {
        check_usage(&self.memory().buffer, needed)
    }

    /// Which memory, and where in it.
    pub(crate) fn location(&self) -> (u64, u64) {
        (self.memory().id, self.offset)
    }

    /// Whether both have the same elements in the same places.
    pub(crate) fn is_same_view(&self, other: &Tensor) -> bool {
        let one = |tensor: &Tensor| (tensor.location(), tensor.dtype);
        one(self) == one(other) && self.shape == other.shape && self.strides == other.strides
    }

    /// Where in the buffer the tensor begins, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The GPU that it lives on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Whether two tensors are of one buffer. Ranges do not matter: wgpu refuses to bind one buffer both for reading
    /// and for writing.
    pub(crate) fn shares_buffer(&self, other: &Tensor) -> bool {
        self.memory().buffer == other.memory().buffer
    }

    /// The bytes of all elements.
    pub fn byte_len(&self) -> u64 {
        self.len() as u64 * self.dtype.size() as u64
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Tensor { shape, strides, dtype, offset, .. } = self;
        let tensor = &mut f.debug_struct("Tensor");
        tensor.field("shape", shape).field("strides", strides).field("dtype", dtype);
        tensor.field("offset", offset).finish_non_exhaustive()
    }
}

/// wgpu tells of a foreign buffer only when it is used: an empty copy does.
fn probe(gpu: &Gpu, buffer: &wgpu::Buffer, failure: &Failure) -> Result<()> {
    let during = "wrapping a buffer";
    gpu.checked().check_alive(during)?;
    let target = gpu.buffers().buffer(Purpose::PROBE, 4, None)?;
    let mut encoder = gpu.checked().encoder(during)?;
    let failure = failure.clone();
    let word = move |error| {
        let error = match error {
            Error::Wgpu { .. } => Error::OtherDevice { what: "the wrapped buffer" },
            error => error,
        };
        let _ = failure.set(error.clone());
        error
    };
    let used = gpu.checked().call_as(during, word, |_| {
        encoder.copy_buffer_to_buffer(buffer, 0, &target, 0, 0);
        encoder.finish()
    });
    used.map(drop)
}

fn check_usage(buffer: &wgpu::Buffer, needed: BufferUsages) -> Result<()> {
    let found = buffer.usage();
    if found.contains(needed) {
        return Ok(());
    }
    Err(Error::BufferUsage { needed: format!("{needed:?}"), found: format!("{found:?}") })
}

/// Bytes of a tensor of this shape; an error where they exceed a buffer.
pub(crate) fn bytes_of(gpu: &Gpu, shape: &[usize], dtype: DType) -> Result<u64> {
    let limit = gpu.caps().max_buffer.min((MOST_ELEMENTS * dtype.size()) as u64);
    match bytes(shape, dtype.size()) {
        Ok(bytes) if buffer_size(bytes) <= gpu.caps().max_buffer => Ok(bytes),
        Ok(needed) | Err(needed) => {
            let needed = needed.checked_next_multiple_of(16).unwrap_or(u64::MAX);
            Err(Error::TooLarge { what: "a tensor", needed, unit: "bytes", limit })
        }
    }
}
