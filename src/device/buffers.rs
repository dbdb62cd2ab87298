//! The buffers that a GPU makes and keeps.

use std::sync::Arc;

use wgpu::{BufferDescriptor, BufferUsages};

use super::gpu::Gpu;
use super::memory::{Lease, Memory, Pool, PoolOf, lock};
use crate::error::{Error, Result};
use crate::kernel::{Binding, Params};

/// Uniforms kept for steps that may come again.
const CACHED_UNIFORMS: usize = 4096;

/// What a buffer is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Purpose {
    label: &'static str,
    making: &'static str,
    usage: BufferUsages,
}

impl Purpose {
    const fn new(label: &'static str, making: &'static str, usage: BufferUsages) -> Purpose {
        Purpose { label, making, usage }
    }

    const TENSOR: Purpose = Purpose::new(
        "gpunorm tensor",
        "making a tensor",
        BufferUsages::STORAGE.union(BufferUsages::COPY_SRC).union(BufferUsages::COPY_DST),
    );
    const READBACK: Purpose =
        Purpose::new("gpunorm readback", "reading back", BufferUsages::COPY_DST.union(BufferUsages::MAP_READ));
    const UNIFORM: Purpose = Purpose::new("gpunorm params", "making a pass's uniforms", BufferUsages::UNIFORM);
    const SCRATCH: Purpose = Purpose::new("gpunorm scratch", "making a pass's scratch", BufferUsages::STORAGE);
    /// From which copies are made.
    pub const STAGING: Purpose =
        Purpose::new("gpunorm staging", "staging arrays", BufferUsages::COPY_SRC.union(BufferUsages::MAP_WRITE));
    /// Where timestamps go.
    pub const PROFILE: Purpose =
        Purpose::new("gpunorm profile", "profiling", BufferUsages::QUERY_RESOLVE.union(BufferUsages::COPY_SRC));
    /// To which nothing is copied, to see whether it could be.
    pub const PROBE: Purpose = Purpose::new("gpunorm probe", "wrapping a buffer", BufferUsages::COPY_DST);
}

impl Gpu {
    /// A buffer of at least `bytes`, rounded up to whole 16-byte units, begun with `fill` if given. Where there is no
    /// memory for it, what nobody uses is freed first, once the work in flight has let go of it.
    pub(crate) fn buffer(&self, purpose: Purpose, bytes: u64, fill: Option<&[u8]>) -> Result<wgpu::Buffer> {
        let size = buffer_size(bytes);
        let limit = self.caps().max_buffer;
        if size > limit {
            return Err(Error::TooLarge { what: "a buffer", needed: size, unit: "bytes", limit });
        }
        match self.make(purpose, size, fill) {
            Err(Error::OutOfMemory { .. }) => {
                self.empty_cache();
                self.wait();
                self.make(purpose, size, fill)
            }
            made => made,
        }
    }

    fn make(&self, purpose: Purpose, size: u64, fill: Option<&[u8]>) -> Result<wgpu::Buffer> {
        let Purpose { label, making, usage } = purpose;
        let descriptor = BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: fill.is_some() };
        let made = self.checked(making, |device| {
            let buffer = device.create_buffer(&descriptor);
            if let Some(bytes) = fill {
                buffer.get_mapped_range_mut(..).ok()?.slice(..bytes.len()).copy_from_slice(bytes);
                buffer.unmap();
            }
            Some(buffer)
        });
        match made {
            Ok(Some(buffer)) => Ok(buffer),
            Ok(None) => Err(self.lost(making)),
            Err(Error::OutOfMemory { during, .. }) => Err(Error::OutOfMemory { during, bytes: Some(size) }),
            Err(error) => Err(error),
        }
    }

    /// A uniform of these values, made once.
    pub(crate) fn uniform(&self, params: &Params) -> Result<Arc<wgpu::Buffer>> {
        let bytes = bytemuck::bytes_of(params);
        if let Some(buffer) = lock(&self.inner.uniforms).get(bytes) {
            return Ok(buffer.clone());
        }
        let buffer = Arc::new(self.buffer(Purpose::UNIFORM, bytes.len() as u64, Some(bytes))?);
        let mut uniforms = lock(&self.inner.uniforms);
        if uniforms.len() >= CACHED_UNIFORMS {
            uniforms.clear();
        }
        uniforms.insert(bytes.to_vec(), buffer.clone());
        Ok(buffer)
    }

    /// At least `bytes` of scratch for `binding`, of any content.
    pub(crate) fn scratch(&self, binding: Binding, bytes: u64) -> Result<Arc<wgpu::Buffer>> {
        if let Some(buffer) = lock(&self.inner.scratch).get(&binding).filter(|buffer| buffer.size() >= bytes) {
            return Ok(buffer.clone());
        }
        let buffer = Arc::new(self.buffer(Purpose::SCRATCH, bytes, None)?);
        let mut scratch = lock(&self.inner.scratch);
        if scratch.get(&binding).is_none_or(|kept| kept.size() < buffer.size()) {
            scratch.insert(binding, buffer.clone());
        }
        Ok(buffer)
    }

    pub(crate) fn pool(&self, of: PoolOf) -> &Pool {
        match of {
            PoolOf::Tensors => &self.inner.tensors,
            PoolOf::Readbacks => &self.inner.readbacks,
        }
    }

    /// Memory for at least `bytes`, begun with `fill` or of any content. A buffer that nobody uses any more is taken
    /// first.
    pub(crate) fn lease(&self, of: PoolOf, bytes: u64, fill: Option<&[u8]>) -> Result<Lease> {
        let purpose = match of {
            PoolOf::Tensors => Purpose::TENSOR,
            PoolOf::Readbacks => Purpose::READBACK,
        };
        let pool = self.pool(of);
        if let Some(memory) = pool.take(buffer_size(bytes)) {
            let lease = Lease::new(self, memory, Some(of));
            if let Some(fill) = fill.filter(|fill| !fill.is_empty()) {
                self.write(&lease.memory().buffer, fill, purpose.making)?;
            }
            return Ok(lease);
        }
        let buffer = self.buffer(purpose, bytes, fill)?;
        pool.made(buffer.size());
        Ok(Lease::new(self, Memory::new(buffer), Some(of)))
    }

    /// Before all work that is submitted from now on.
    fn write(&self, buffer: &wgpu::Buffer, bytes: &[u8], during: &'static str) -> Result<()> {
        let padded = (bytes.len() as u64).next_multiple_of(4);
        let written = self.checked(during, |_| {
            let mut view = self.queue().write_buffer_with(buffer, 0, wgpu::BufferSize::new(padded)?)?;
            view.slice(..bytes.len()).copy_from_slice(bytes);
            Some(())
        })?;
        written.ok_or_else(|| self.lost(during))
    }

    /// Frees what is kept for later and nobody uses: the buffers of tensors that are gone, and what passes hand from
    /// dispatch to dispatch, unless a layer has such a pass ready for tensors that are still there.
    #[doc(alias = "trim")]
    pub fn empty_cache(&self) {
        // Tensors first: passes over them are forgotten, and with those goes what they used.
        self.inner.tensors.empty();
        self.inner.readbacks.empty();
        lock(&self.inner.scratch).retain(|_, buffer| Arc::strong_count(buffer) > 1);
        lock(&self.inner.uniforms).retain(|_, buffer| Arc::strong_count(buffer) > 1);
    }
}

/// Whole 16-byte units, and at least one.
pub(crate) fn buffer_size(bytes: u64) -> u64 {
    bytes.max(1).next_multiple_of(16)
}
