//! A device and its queue, this crate's own or the app's, and what is cached on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use wgpu::{BufferDescriptor, BufferUsages, ErrorFilter, Features};

use crate::caps::Caps;
use crate::error::{Error, Result};
use crate::kernel::{Binding, Params};
use crate::memory::{Lease, Memory, Pool, PoolOf};
use crate::pipeline::Pipelines;

mod adapter;
mod readback;

pub(crate) use readback::Part;

/// Uniforms kept for steps that may come again.
const CACHED_UNIFORMS: usize = 4096;

/// A GPU to normalize on. Cheap to clone: clones share the device, its pipelines and its uniforms.
#[derive(Clone, Debug)]
pub struct Gpu {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    caps: Caps,
    pipelines: Arc<Pipelines>,
    uniforms: Mutex<HashMap<Vec<u8>, wgpu::Buffer>>,
    /// What steps hand to one another. All forwards share it: the queue runs them one after the other, and each writes
    /// before it reads.
    scratch: Mutex<HashMap<Binding, wgpu::Buffer>>,
    /// Why the device is gone, once it is and if this crate opened it.
    lost: Arc<OnceLock<String>>,
    tensors: Pool,
    readbacks: Pool,
    /// What tells devices apart: wgpu's own comparison takes those of two instances for the same.
    identity: Arc<()>,
}

impl Gpu {
    /// Opens the most capable adapter: a discrete GPU before an integrated one before a software driver, and
    /// Vulkan, Metal or DX12 before GL. Blocks; in a browser use [`request`](Self::request).
    ///
    /// wgpu's environment variables are respected: `WGPU_BACKEND` (`vulkan`, `metal`, `dx12`, `gl`),
    /// `WGPU_ADAPTER_NAME` (part of a name) and `WGPU_POWER_PREF` (`low` prefers the integrated GPU).
    ///
    /// # Errors
    /// [`Error::NoAdapter`], [`Error::RequestDevice`].
    pub fn new() -> Result<Gpu> {
        pollster::block_on(Gpu::request())
    }

    /// As [`new`](Self::new), without blocking.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub async fn request() -> Result<Gpu> {
        Gpu::from_adapter(&adapter::choose_adapter().await?).await
    }

    /// Opens this adapter.
    ///
    /// # Errors
    /// [`Error::RequestDevice`].
    pub async fn from_adapter(adapter: &wgpu::Adapter) -> Result<Gpu> {
        // The adapter's real limits, so that large tensors bind whole, and the features that kernels can use.
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("gpunorm"),
            required_features: adapter.features() & (Features::SUBGROUP | Features::TIMESTAMP_QUERY),
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let opened = adapter.request_device(&descriptor).await;
        let (device, queue) = opened.map_err(|error| Error::RequestDevice { reason: error.to_string() })?;
        let lost = Arc::new(OnceLock::new());
        let told = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            let _ = told.set(format!("{reason:?}: {message}"));
        });
        let caps = Caps::of(&device);
        Ok(Gpu::build(device, queue, caps, lost))
    }

    /// Uses the app's own device: its limits, and `SUBGROUP` and `TIMESTAMP_QUERY` where it has them. The limits
    /// that every WebGPU device grants are enough. Call it once and clone the result: tensors and layers of two calls
    /// are taken to be of two devices.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Gpu {
        let caps = Caps::of(&device);
        Gpu::build(device, queue, caps, Arc::default())
    }

    fn build(device: wgpu::Device, queue: wgpu::Queue, caps: Caps, lost: Arc<OnceLock<String>>) -> Gpu {
        Gpu::assemble(device, queue, caps, lost, Arc::default(), Arc::default())
    }

    fn assemble(
        device: wgpu::Device,
        queue: wgpu::Queue,
        caps: Caps,
        lost: Arc<OnceLock<String>>,
        identity: Arc<()>,
        pipelines: Arc<Pipelines>,
    ) -> Gpu {
        let (uniforms, scratch, tensors, readbacks) = Default::default();
        let inner = Inner { device, queue, caps, pipelines, uniforms, scratch, lost, tensors, readbacks, identity };
        Gpu { inner: Arc::new(inner) }
    }

    /// The same device, planned for as if it had these numbers; its own where they exceed these, and no subgroups if they
    /// are of another size: for tests and experiments.
    pub fn with_caps(&self, caps: Caps) -> Gpu {
        self.derive(caps.within(&Caps::of(self.device())), self.inner.pipelines.clone())
    }

    /// The same device with the shaders' run-time checks on, or off as they are at first. What they guard against does
    /// not happen (each shader says why), so they only cost time: for tests and experiments.
    pub fn with_shader_checks(&self, checks: bool) -> Gpu {
        self.derive(*self.caps(), Arc::new(Pipelines::new(checks)))
    }

    fn derive(&self, caps: Caps, pipelines: Arc<Pipelines>) -> Gpu {
        let Inner { device, queue, lost, identity, .. } = &*self.inner;
        Gpu::assemble(device.clone(), queue.clone(), caps, lost.clone(), identity.clone(), pipelines)
    }

    /// The wgpu device.
    pub fn device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    /// The device's queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.inner.queue
    }

    /// The adapter behind the device: its name, type, driver and backend.
    pub fn adapter_info(&self) -> wgpu::AdapterInfo {
        self.inner.device.adapter_info()
    }

    /// What plans look at.
    pub fn caps(&self) -> &Caps {
        &self.inner.caps
    }

    pub(crate) fn pipelines(&self) -> &Pipelines {
        &self.inner.pipelines
    }

    pub(crate) fn is(&self, other: &Gpu) -> bool {
        Arc::ptr_eq(&self.inner.identity, &other.inner.identity)
    }

    /// Fails once the device is gone. wgpu tells so late, by a callback that is the app's on the app's device, so it is
    /// tried: a lost device cannot map a new buffer.
    pub(crate) fn alive(&self) -> Result<()> {
        let usage = BufferUsages::COPY_DST;
        let descriptor = BufferDescriptor { label: None, size: 4, usage, mapped_at_creation: true };
        let mapped = self.checked(|device| device.create_buffer(&descriptor).get_mapped_range_mut(..).is_ok());
        match mapped {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.lost()),
            Err(_) => Err(Error::OutOfMemory { bytes: descriptor.size }),
        }
    }

    /// Submits what is recorded, unless the device is gone.
    pub(crate) fn submit(&self, encoder: wgpu::CommandEncoder) -> Result<()> {
        self.alive()?;
        self.checked(|_| self.queue().submit([encoder.finish()])).map(drop)
    }

    /// Why a mapping failed, when it did: the device is gone.
    pub(crate) fn lost(&self) -> Error {
        let unknown = || "its buffers cannot be mapped any more".to_owned();
        Error::DeviceLost { reason: self.inner.lost.get().cloned().unwrap_or_else(unknown) }
    }

    /// Calls wgpu and returns the error that it would otherwise raise as a panic. In a browser errors come later,
    /// to the app's own handler.
    pub(crate) fn checked<T>(&self, what: impl FnOnce(&wgpu::Device) -> T) -> Result<T> {
        if cfg!(target_arch = "wasm32") {
            return Ok(what(self.device()));
        }
        let validation = self.device().push_error_scope(ErrorFilter::Validation);
        let memory = self.device().push_error_scope(ErrorFilter::OutOfMemory);
        let value = what(self.device());
        let (memory, validation) = (pollster::block_on(memory.pop()), pollster::block_on(validation.pop()));
        match memory.or(validation) {
            Some(error) => Err(Error::Wgpu { message: error.to_string() }),
            None => Ok(value),
        }
    }

    /// A buffer of at least `bytes`, rounded up to whole 16-byte units, filled by `fill` if given.
    pub(crate) fn buffer(
        &self,
        label: &'static str,
        bytes: u64,
        usage: BufferUsages,
        fill: Option<&[u8]>,
    ) -> Result<wgpu::Buffer> {
        let size = buffer_size(bytes);
        let limit = self.caps().max_buffer;
        if size > limit {
            return Err(Error::TooLarge { what: "a buffer", needed: size, unit: "bytes", limit });
        }
        let descriptor = BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: fill.is_some() };
        let buffer = self.checked(|device| device.create_buffer(&descriptor)).map_err(|error| match error {
            Error::Wgpu { .. } => Error::OutOfMemory { bytes: size },
            other => other,
        })?;
        if let Some(bytes) = fill {
            let Ok(mut mapped) = buffer.get_mapped_range_mut(..) else { return Err(self.lost()) };
            mapped.slice(..bytes.len()).copy_from_slice(bytes);
            drop(mapped);
            buffer.unmap();
        }
        Ok(buffer)
    }

    /// A uniform of these values, made once.
    pub(crate) fn uniform(&self, params: &Params) -> Result<wgpu::Buffer> {
        let bytes = bytemuck::bytes_of(params);
        let mut uniforms = self.inner.uniforms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(buffer) = uniforms.get(bytes) {
            return Ok(buffer.clone());
        }
        let buffer = self.buffer("gpunorm params", bytes.len() as u64, BufferUsages::UNIFORM, Some(bytes))?;
        if uniforms.len() >= CACHED_UNIFORMS {
            uniforms.clear();
        }
        uniforms.insert(bytes.to_vec(), buffer.clone());
        Ok(buffer)
    }

    /// At least `bytes` of scratch for `binding`, of any content. It only grows.
    pub(crate) fn scratch(&self, binding: Binding, bytes: u64) -> Result<wgpu::Buffer> {
        let mut scratch = self.inner.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(buffer) = scratch.get(&binding).filter(|buffer| buffer.size() >= bytes) {
            return Ok(buffer.clone());
        }
        let buffer = self.buffer("gpunorm scratch", bytes, BufferUsages::STORAGE, None)?;
        scratch.insert(binding, buffer.clone());
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
        let (label, usage) = match of {
            PoolOf::Tensors => ("gpunorm tensor", TENSOR),
            PoolOf::Readbacks => ("gpunorm readback", BufferUsages::COPY_DST | BufferUsages::MAP_READ),
        };
        let pool = self.pool(of);
        if let Some(memory) = pool.take(buffer_size(bytes)) {
            let lease = Lease::new(self, memory, Some(of));
            if let Some(fill) = fill.filter(|fill| !fill.is_empty()) {
                self.write(&lease.memory().buffer, fill)?;
            }
            return Ok(lease);
        }
        let make = || self.buffer(label, bytes, usage, fill);
        let buffer = match make() {
            Err(Error::OutOfMemory { .. }) => {
                self.empty_cache();
                make()?
            }
            made => made?,
        };
        pool.made(buffer.size());
        Ok(Lease::new(self, Memory::new(buffer), Some(of)))
    }

    /// Before all work that is submitted from now on.
    fn write(&self, buffer: &wgpu::Buffer, bytes: &[u8]) -> Result<()> {
        let padded = (bytes.len() as u64).next_multiple_of(4);
        let view = self.checked(|_| {
            wgpu::BufferSize::new(padded).and_then(|size| self.queue().write_buffer_with(buffer, 0, size))
        })?;
        let Some(mut view) = view else { return Err(self.lost()) };
        view.slice(..bytes.len()).copy_from_slice(bytes);
        self.checked(|_| drop(view))
    }

    /// Frees the buffers of tensors that are gone, which are otherwise kept for the next ones of their sizes.
    #[doc(alias = "trim")]
    pub fn empty_cache(&self) {
        self.inner.tensors.empty();
        self.inner.readbacks.empty();
    }
}

/// What the buffer behind a tensor of this crate allows.
const TENSOR: BufferUsages = BufferUsages::STORAGE.union(BufferUsages::COPY_SRC).union(BufferUsages::COPY_DST);

/// Whole 16-byte units, and at least one.
fn buffer_size(bytes: u64) -> u64 {
    bytes.max(1).next_multiple_of(16)
}
