//! A device and its queue, this crate's own or the app's, and what is cached on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use wgpu::{DeviceLostReason, Features};

use super::adapter;
use super::memory::Pool;
use super::pipeline::Pipelines;
use crate::error::{Error, Result};
use crate::kernel::Binding;
use crate::plan::caps::Caps;

/// A GPU to normalize on. Cheap to clone: clones share the device, its pipelines and its uniforms.
#[derive(Clone, Debug)]
pub struct Gpu {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) caps: Caps,
    pub(super) pipelines: Arc<Pipelines>,
    /// Whoever has prepared a step with one of these holds it.
    pub(super) uniforms: Mutex<HashMap<Vec<u8>, Arc<wgpu::Buffer>>>,
    /// What steps hand to one another, held likewise. All forwards share it: the queue runs them one after the other,
    /// and each writes before it reads.
    pub(super) scratch: Mutex<HashMap<Binding, Arc<wgpu::Buffer>>>,
    /// Why the device is gone, once it is; of the app's device only the app is told.
    pub(super) lost: Option<Arc<OnceLock<String>>>,
    pub(super) tensors: Pool,
    pub(super) readbacks: Pool,
    /// What tells devices apart: wgpu's own comparison takes those of two instances for the same.
    pub(super) identity: Arc<()>,
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
            let _ = told.set(match reason {
                DeviceLostReason::Destroyed => "it was destroyed".to_owned(),
                DeviceLostReason::Unknown => message,
            });
        });
        let caps = Caps::of(&device);
        Ok(Gpu::build(device, queue, caps, Some(lost)))
    }

    /// Uses the app's own device: its limits, and `SUBGROUP` and `TIMESTAMP_QUERY` where it has them. The limits
    /// that every WebGPU device grants are enough. Call it once and clone the result: tensors and layers of two calls
    /// are taken to be of two devices.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Gpu {
        let caps = Caps::of(&device);
        Gpu::build(device, queue, caps, None)
    }

    fn build(device: wgpu::Device, queue: wgpu::Queue, caps: Caps, lost: Option<Arc<OnceLock<String>>>) -> Gpu {
        Gpu::assemble(device, queue, caps, lost, Arc::default(), Arc::default())
    }

    fn assemble(
        device: wgpu::Device,
        queue: wgpu::Queue,
        caps: Caps,
        lost: Option<Arc<OnceLock<String>>>,
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
}
