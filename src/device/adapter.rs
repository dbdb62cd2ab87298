//! Which adapter a program gets that does not choose.

use wgpu::{Backend, Backends, DeviceType};

use super::browser::IN_BROWSER;
use crate::error::{Error, Result};

/// The best adapter that can run compute shaders.
pub(super) async fn choose_adapter() -> Result<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle().with_env());
    if IN_BROWSER {
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let adapter = instance.request_adapter(&options).await;
        return adapter.map_err(|error| {
            let reason = format!(
                "this browser has no WebGPU, has it turned off, gives no adapter for this GPU, or gives it only to pages \
                 from https or localhost ({error})"
            );
            Error::NoAdapter { reason }
        });
    }
    let backends = backends()?;
    let wanted = std::env::var("WGPU_ADAPTER_NAME").ok().map(|name| name.to_lowercase());
    let low_power = wgpu::PowerPreference::from_env() == Some(wgpu::PowerPreference::LowPower);
    let mut adapters = instance.enumerate_adapters(backends).await;
    let found: Vec<String> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
    adapters.retain(|adapter| {
        let compute = wgpu::DownlevelFlags::COMPUTE_SHADERS;
        let name = adapter.get_info().name.to_lowercase();
        adapter.get_downlevel_capabilities().flags.contains(compute)
            && wanted.as_ref().is_none_or(|wanted| name.contains(wanted))
    });
    let best = adapters.into_iter().min_by_key(|adapter| {
        let info = adapter.get_info();
        let kind = match info.device_type {
            DeviceType::DiscreteGpu if low_power => 1,
            DeviceType::IntegratedGpu if low_power => 0,
            DeviceType::DiscreteGpu => 0,
            DeviceType::IntegratedGpu => 1,
            DeviceType::VirtualGpu => 2,
            DeviceType::Other => 3,
            DeviceType::Cpu => 4,
        };
        (kind, info.backend == Backend::Gl)
    });
    best.ok_or_else(|| {
        let reason = match (&wanted, found.is_empty()) {
            (_, true) => {
                format!("no driver for {backends:?} was found; on Linux without one, install Mesa's Vulkan drivers")
            }
            (Some(name), false) => format!("WGPU_ADAPTER_NAME is {name:?}, found {found:?}"),
            (None, false) => format!("none of {found:?} runs compute shaders"),
        };
        Error::NoAdapter { reason }
    })
}

/// The backends that `WGPU_BACKEND` asks for, all without it.
fn backends() -> Result<Backends> {
    let built = wgpu::Instance::enabled_backend_features();
    if built.is_empty() {
        let reason = "this build has no backend; turn on the feature vulkan, metal, dx12 or gles of gpunorm".into();
        return Err(Error::NoAdapter { reason });
    }
    let Some(asked) = Backends::from_env() else { return Ok(Backends::all()) };
    let here = asked & built;
    let what = match (asked.is_empty(), here.is_empty()) {
        (true, _) => "names none of vulkan, metal, dx12 and gl",
        (_, true) => "neither this system nor this build of wgpu has",
        _ => return Ok(here),
    };
    let value = std::env::var("WGPU_BACKEND").unwrap_or_default();
    Err(Error::NoAdapter { reason: format!("WGPU_BACKEND is {value:?}, which {what}") })
}
