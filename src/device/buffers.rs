//! The buffers that are made on a device and kept for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use wgpu::{BufferDescriptor, BufferUsages};

use super::browser::IN_BROWSER;
use super::checked::CheckedDevice;
use super::memory::{Failure, Lease, Memory, Pool, Shared, lock};
use super::wrapped::Wrapped;
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
    pub const UNIFORM: Purpose = Purpose::new("gpunorm params", "making a pass's uniforms", BufferUsages::UNIFORM);
    const SCRATCH: Purpose = Purpose::new("gpunorm scratch", "making a pass's scratch", BufferUsages::STORAGE);
    /// From which copies are made.
    pub const STAGING: Purpose =
        Purpose::new("gpunorm staging", "staging arrays", BufferUsages::COPY_SRC.union(BufferUsages::MAP_WRITE));
    /// Where timestamps go.
    pub const PROFILE: Purpose =
        Purpose::new("gpunorm profile", "profiling", BufferUsages::QUERY_RESOLVE.union(BufferUsages::COPY_SRC));
    /// From which a shader copies.
    pub const WORD: Purpose = Purpose::new("gpunorm word", "writing a tensor", BufferUsages::STORAGE);
    /// To which nothing is copied, to see whether it could be.
    pub const PROBE: Purpose = Purpose::new("gpunorm probe", "wrapping a buffer", BufferUsages::COPY_DST);
}

/// The buffers of one device.
#[derive(Debug)]
pub(crate) struct Buffers {
    pub(super) device: CheckedDevice,
    /// Bytes that one may have.
    limit: u64,
    /// Whoever has prepared a step with one of these holds it.
    uniforms: Mutex<HashMap<Vec<u8>, Arc<Shared>>>,
    /// What steps hand to one another, held likewise. All forwards share it: the queue runs them one after the other,
    /// and each writes before it reads.
    scratch: Mutex<HashMap<Binding, Arc<Shared>>>,
    tensors: Arc<Pool>,
    readbacks: Arc<Pool>,
    wrapped: Mutex<Wrapped>,
}

impl Buffers {
    pub fn new(device: CheckedDevice, limit: u64) -> Buffers {
        let (uniforms, scratch, tensors, readbacks, wrapped) = Default::default();
        Buffers { device, limit, uniforms, scratch, tensors, readbacks, wrapped }
    }

    /// A buffer of at least `bytes`, rounded up to whole 16-byte units, begun with `fill` if given. Where there is no
    /// memory for it, what nobody uses is freed first, once the work in flight has let go of it.
    pub fn buffer(&self, purpose: Purpose, bytes: u64, fill: Option<&[u8]>) -> Result<wgpu::Buffer> {
        self.buffer_or(&Failure::default(), purpose, bytes, fill)
    }

    /// The same, which may fail later.
    fn buffer_or(&self, failure: &Failure, purpose: Purpose, bytes: u64, fill: Option<&[u8]>) -> Result<wgpu::Buffer> {
        let size = buffer_size(bytes);
        if size > self.limit {
            return Err(Error::TooLarge { what: "a buffer", needed: size, unit: "bytes", limit: self.limit });
        }
        match self.make(failure, purpose, size, fill) {
            Err(Error::OutOfMemory { .. }) => {
                self.empty_cache();
                self.device.wait();
                self.make(failure, purpose, size, fill)
            }
            made => made,
        }
    }

    fn make(&self, failure: &Failure, purpose: Purpose, size: u64, fill: Option<&[u8]>) -> Result<wgpu::Buffer> {
        let Purpose { label, making, usage } = purpose;
        // Where there is no memory to map, a browser throws; what is written it takes as it can.
        let mapped = fill.filter(|_| !IN_BROWSER);
        let written = fill.filter(|_| IN_BROWSER);
        let usage = if written.is_some() { (usage - BufferUsages::MAP_WRITE) | BufferUsages::COPY_DST } else { usage };
        let descriptor = BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: mapped.is_some() };
        let failure = failure.clone();
        let word = move |error| {
            let error = match error {
                Error::OutOfMemory { during, .. } => Error::OutOfMemory { during, bytes: Some(size) },
                error => error,
            };
            if IN_BROWSER {
                let _ = failure.set(error.clone());
            }
            error
        };
        let made = self.device.call_as(making, word, |device| {
            let buffer = device.create_buffer(&descriptor);
            if let Some(bytes) = mapped {
                buffer.get_mapped_range_mut(..).ok()?.slice(..bytes.len()).copy_from_slice(bytes);
                buffer.unmap();
            }
            Some(buffer)
        })?;
        let buffer = made.ok_or_else(|| self.device.lost_error(making))?;
        if let Some(bytes) = written.filter(|bytes| !bytes.is_empty()) {
            self.write(&buffer, 0, bytes, making)?;
        }
        Ok(buffer)
    }

    /// Waits for what a browser tells later of calls so far: the first error among them. Where memory was short, what nobody uses
    /// is freed, so that there is more when the caller tries again.
    pub async fn settled(&self) -> Result<()> {
        let settled = self.device.settled().await;
        if matches!(settled, Err(Error::OutOfMemory { .. })) {
            self.empty_cache();
        }
        settled
    }

    /// A uniform of these values, made once.
    pub fn uniform(&self, params: &Params) -> Result<Arc<Shared>> {
        let bytes = bytemuck::bytes_of(params);
        if let Some(buffer) = lock(&self.uniforms).get(bytes).filter(|buffer| !buffer.has_failed()) {
            return Ok(buffer.clone());
        }
        let buffer = self.shared(Purpose::UNIFORM, bytes.len() as u64, Some(bytes))?;
        let mut uniforms = lock(&self.uniforms);
        if uniforms.len() >= CACHED_UNIFORMS {
            uniforms.clear();
        }
        uniforms.insert(bytes.to_vec(), buffer.clone());
        Ok(buffer)
    }

    /// At least `bytes` of scratch for `binding`, of any content.
    pub fn scratch(&self, binding: Binding, bytes: u64) -> Result<Arc<Shared>> {
        let serves = |kept: &Shared, bytes| kept.buffer.size() >= bytes && !kept.has_failed();
        if let Some(kept) = lock(&self.scratch).get(&binding).filter(|kept| serves(kept, bytes)) {
            return Ok(kept.clone());
        }
        let made = self.shared(Purpose::SCRATCH, bytes, None)?;
        let mut scratch = lock(&self.scratch);
        if scratch.get(&binding).is_none_or(|kept| !serves(kept, made.buffer.size())) {
            scratch.insert(binding, made.clone());
        }
        Ok(made)
    }

    fn shared(&self, purpose: Purpose, bytes: u64, fill: Option<&[u8]>) -> Result<Arc<Shared>> {
        let failure = Failure::default();
        Ok(Shared::new(self.buffer_or(&failure, purpose, bytes, fill)?, failure))
    }

    /// Memory of a tensor.
    pub fn lease_tensor(&self, bytes: u64, fill: Option<&[u8]>) -> Result<Lease> {
        self.lease(&self.tensors, Purpose::TENSOR, bytes, fill)
    }

    /// Memory that can be mapped for reading.
    pub fn lease_readback(&self, bytes: u64) -> Result<Lease> {
        self.lease(&self.readbacks, Purpose::READBACK, bytes, None)
    }

    /// The memory of a buffer of the app's, which `check` looks at if it is not known.
    pub fn wrap(
        &self,
        buffer: wgpu::Buffer,
        check: impl FnOnce(&wgpu::Buffer, &Failure) -> Result<()>,
    ) -> Result<Arc<Lease>> {
        // What is too old is dropped after the lock: it tells its users, who have locks of their own.
        let (found, _old) = lock(&self.wrapped).find(&buffer);
        if let Some(lease) = found {
            return Ok(lease);
        }
        let failure = Failure::default();
        check(&buffer, &failure)?;
        let lease = Arc::new(Lease::new(Memory::new(buffer, failure), None));
        lock(&self.wrapped).put(&lease);
        Ok(lease)
    }

    /// How many of tensors and of readbacks are kept and not in use.
    #[cfg(test)]
    pub fn free(&self) -> (usize, usize) {
        (self.tensors.len(), self.readbacks.len())
    }

    /// Memory for at least `bytes`, begun with `fill` or of any content. A buffer that nobody uses any more is taken
    /// first.
    fn lease(&self, pool: &Arc<Pool>, purpose: Purpose, bytes: u64, fill: Option<&[u8]>) -> Result<Lease> {
        if let Some(memory) = pool.take(buffer_size(bytes)) {
            let lease = Lease::new(memory, Some(pool.clone()));
            if let Some(fill) = fill.filter(|fill| !fill.is_empty()) {
                self.write(&lease.memory().buffer, 0, fill, purpose.making)?;
            }
            return Ok(lease);
        }
        let failure = Failure::default();
        let buffer = self.buffer_or(&failure, purpose, bytes, fill)?;
        pool.made(buffer.size());
        Ok(Lease::new(Memory::new(buffer, failure), Some(pool.clone())))
    }

    /// Writes bytes and, up to the end of their last word, zeros, before all work that is submitted from now on.
    pub fn write(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8], during: &'static str) -> Result<()> {
        let padded = (bytes.len() as u64).next_multiple_of(4);
        let written = self.device.call(during, |_| {
            let mut view = self.device.queue.write_buffer_with(buffer, offset, wgpu::BufferSize::new(padded)?)?;
            view.slice(..bytes.len()).copy_from_slice(bytes);
            Some(())
        })?;
        written.ok_or_else(|| self.device.lost_error(during))
    }

    /// Frees what is kept for later and nobody uses.
    pub fn empty_cache(&self) {
        // Tensors first: passes over them are forgotten, and with those goes what they used.
        let unused = lock(&self.wrapped).empty();
        drop(unused);
        self.tensors.empty();
        self.readbacks.empty();
        lock(&self.scratch).retain(|_, buffer| Arc::strong_count(buffer) > 1);
        lock(&self.uniforms).retain(|_, buffer| Arc::strong_count(buffer) > 1);
    }
}

/// Whole 16-byte units, and at least one.
pub fn buffer_size(bytes: u64) -> u64 {
    bytes.max(1).next_multiple_of(16)
}
