//! A device and its queue, this crate's own or the app's, and what is cached on it.

use std::fmt;
use std::sync::Arc;

use wgpu::Features;

use super::adapter;
use super::buffers::Buffers;
use super::checked::CheckedDevice;
use super::pipeline::Pipelines;
use crate::error::{Cause, Error, Result};
use crate::plan::Caps;

/// A GPU to normalize on. Cheap to clone: clones share the device, its pipelines and its uniforms. `Send` and `Sync`, as all that
/// stands on it, but for browsers: there it is its thread's, as wgpu's own types are.
#[derive(Clone)]
pub struct Gpu {
    inner: Arc<Inner>,
}

struct Inner {
    device: CheckedDevice,
    caps: Caps,
    pipelines: Arc<Pipelines>,
    buffers: Buffers,
    /// What tells devices apart: wgpu's own comparison takes those of two instances for the same.
    identity: Arc<()>,
}

impl Gpu {
    /// Opens the most capable adapter: a discrete GPU before an integrated one before a software driver, and
    /// Vulkan, Metal or DX12 before GL. `Gpu::new()` waits for it, outside of browsers.
    ///
    /// wgpu's environment variables are respected: `WGPU_BACKEND` (`vulkan`, `metal`, `dx12`, `gl`),
    /// `WGPU_ADAPTER_NAME` (part of a name) and `WGPU_POWER_PREF` (`low` prefers the integrated GPU).
    ///
    /// # Errors
    /// [`Error::NoAdapter`], [`Error::RequestDevice`].
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
            required_features: adapter.features()
                & (Features::SUBGROUP | Features::SHADER_F16 | Features::TIMESTAMP_QUERY | Features::PIPELINE_CACHE),
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let opened = adapter.request_device(&descriptor).await;
        let (device, queue) = opened.map_err(|error| Error::RequestDevice { source: Cause::new(error) })?;
        Ok(Gpu::of(CheckedDevice::own(device, queue)))
    }

    /// Uses the app's own device. The limits that every WebGPU device grants are enough. It is worth asking for
    /// `Features::SUBGROUP` (faster sums), `SHADER_F16` (faster stores of f16), `TIMESTAMP_QUERY` (for profiles) and `PIPELINE_CACHE`, where the adapter has them, and
    /// for its `max_storage_buffer_binding_size` and `max_buffer_size`, so that large tensors are bound whole.
    ///
    /// Call it once and clone the result: tensors and layers of two calls are taken to be of two devices.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Gpu {
        Gpu::of(CheckedDevice::of_app(device, queue))
    }

    fn of(device: CheckedDevice) -> Gpu {
        let caps = Caps::of(&device.device);
        let pipelines = Arc::new(Pipelines::new(device.clone(), false, None));
        Gpu::assemble(device, caps, pipelines, Arc::default())
    }

    fn assemble(device: CheckedDevice, caps: Caps, pipelines: Arc<Pipelines>, identity: Arc<()>) -> Gpu {
        let buffers = Buffers::new(device.clone(), caps.max_buffer);
        Gpu { inner: Arc::new(Inner { device, caps, pipelines, buffers, identity }) }
    }

    /// The same device, planned for as if it had these numbers; its own where they exceed these, and no subgroups if its
    /// own may have other sizes. For tests and experiments, and [unstable](crate::unstable).
    pub fn with_caps(&self, caps: Caps) -> Gpu {
        self.derive(caps.within(&Caps::of(self.device())), self.inner.pipelines.clone())
    }

    /// The same device with the shaders' run-time checks on, or off as they are at first. What they guard against does
    /// not happen (each shader says why), so they only cost time: for tests and experiments.
    pub fn with_shader_checks(&self, checks: bool) -> Gpu {
        let cache = self.pipelines().cache().cloned();
        self.derive(*self.caps(), Arc::new(Pipelines::new(self.checked().clone(), checks, cache)))
    }

    /// The same device, whose kernels are compiled with what is in `cache` and leave in it what they cost, where the backend
    /// has pipeline caches (`Features::PIPELINE_CACHE`, which [`request`](Self::request) asks for; Vulkan). The app makes it on
    /// [`device`](Self::device), from the bytes of a file, and writes `cache.get_data()` to the file again.
    pub fn with_pipeline_cache(&self, cache: wgpu::PipelineCache) -> Gpu {
        let checks = self.pipelines().checks();
        self.derive(*self.caps(), Arc::new(Pipelines::new(self.checked().clone(), checks, Some(cache))))
    }

    fn derive(&self, caps: Caps, pipelines: Arc<Pipelines>) -> Gpu {
        Gpu::assemble(self.checked().clone(), caps, pipelines, self.inner.identity.clone())
    }

    /// The wgpu device.
    pub fn device(&self) -> &wgpu::Device {
        &self.inner.device.device
    }

    /// The device's queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.inner.device.queue
    }

    /// The adapter behind the device: its name, type, driver and backend. In browsers the name may be empty.
    pub fn adapter_info(&self) -> wgpu::AdapterInfo {
        self.device().adapter_info()
    }

    /// What plans look at; [unstable](crate::unstable).
    pub fn caps(&self) -> &Caps {
        &self.inner.caps
    }

    /// What has failed since somebody was told. In a browser calls fail after they have returned, for want of memory or since the
    /// device is gone: whatever is awaited next of this `Gpu` and its clones, reading a tensor, or this where an app only encodes,
    /// waits for what becomes of all calls before it and has the first error. A tensor that could not be made says so
    /// whenever it is read. Elsewhere calls have told by then, and this only asks whether the device is still there.
    ///
    /// # Errors
    /// Those of the calls since the last await; [`Error::DeviceLost`].
    pub async fn check(&self) -> Result<()> {
        let during = "checking the device";
        // A browser's answer to this comes after all that has happened before.
        self.checked().call(during, |_| ())?;
        self.buffers().settled().await?;
        self.checked().check_alive(during)
    }

    /// Frees what is kept for later and nobody uses: the buffers of tensors that are gone, and what passes hand from
    /// dispatch to dispatch, unless a layer has such a pass ready for tensors that are still there.
    #[doc(alias = "trim")]
    pub fn empty_cache(&self) {
        self.buffers().empty_cache();
    }

    /// The device, for calls that may fail.
    pub(crate) fn checked(&self) -> &CheckedDevice {
        &self.inner.device
    }

    pub(crate) fn buffers(&self) -> &Buffers {
        &self.inner.buffers
    }

    pub(crate) fn pipelines(&self) -> &Pipelines {
        &self.inner.pipelines
    }

    pub(crate) fn is(&self, other: &Gpu) -> bool {
        Arc::ptr_eq(&self.inner.identity, &other.inner.identity)
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let wgpu::AdapterInfo { name, backend, .. } = self.adapter_info();
        f.debug_struct("Gpu").field("name", &name).field("backend", &backend).finish_non_exhaustive()
    }
}
