//! What CubeCL says of a device, as plans take it.

use burn::backend::DispatchDevice;
use burn::tensor::Device;
use burn_cubecl::CubeDevice;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::ir::features::Plane;
use burn_cubecl::cubecl::ir::{ElemType, FloatKind};
use gpunorm::unstable::{Caps, F16, SubgroupSizes};

/// The compiler that takes WGSL, of burn's feature `wgpu`. With `vulkan` and `metal` there are others on some devices, which refuse it.
const WGSL: &str = "wgpu<wgsl>";

/// The device behind burn's, where that takes WGSL; or why it does not.
pub fn native(device: &Device) -> Result<CubeDevice, String> {
    let dispatch = match device.as_dispatch() {
        #[cfg(feature = "autodiff")]
        DispatchDevice::Autodiff(device) => device,
        device => device,
    };
    match dispatch {
        DispatchDevice::Cube(device) => match device.client().name() {
            WGSL => Ok(device.clone()),
            other => Err(format!("{other} takes no WGSL")),
        },
        other => Err(format!("{other:?} is no wgpu device")),
    }
}

/// The numbers that plans go by.
pub fn caps(client: &Client) -> Caps {
    let properties = client.properties();
    let (hardware, memory) = (&properties.hardware, &properties.memory);
    // CubeCL knows the card behind a device, which a driver that runs on the CPU has not.
    let software = properties.identity.physical.is_none();
    let sizes = SubgroupSizes { min: hardware.plane_size_min, max: hardware.plane_size_max };
    // It turns on whatever an adapter has.
    let converts = properties.supports_type(ElemType::Float(FloatKind::F16));
    Caps {
        max_workgroup: hardware.max_units_per_cube.min(hardware.max_cube_dim.0),
        max_workgroups: hardware.max_cube_count.0.min(hardware.max_cube_count.1),
        max_binding: memory.max_page_size,
        max_buffer: memory.max_page_size,
        alignment: memory.alignment,
        // One is kept back for CubeCL's own numbers, which are a uniform here.
        max_storage_buffers: hardware.max_bindings + 1,
        workgroup_storage: u32::try_from(hardware.max_shared_memory_size).unwrap_or(u32::MAX),
        subgroup: properties.features.plane.contains(Plane::Ops).then_some(sizes),
        f16: f16(converts, software),
        software,
    }
}

/// By instructions where they are known to be right: HLSL promises no rounding of its conversions, and a browser does not tell what it
/// translates to.
fn f16(converts: bool, software: bool) -> F16 {
    match converts {
        true if software || cfg!(any(windows, target_family = "wasm")) => F16::NativeDecode,
        true => F16::Native,
        false => F16::Integer,
    }
}
