//! The few numbers of an adapter that planning may look at; never its name.

use wgpu::{Backend, Features};

use crate::kernel::F16;

/// WebGPU's most.
const LARGEST_SUBGROUP: u32 = 128;

/// How many lanes a subgroup may have: powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubgroupSizes {
    /// At least so many.
    pub min: u32,
    /// At most so many. Where that is more, the driver chooses for each pipeline.
    pub max: u32,
}

impl SubgroupSizes {
    /// One size for all.
    pub const fn of(size: u32) -> SubgroupSizes {
        SubgroupSizes { min: size, max: size }
    }
}

/// What a device allows, and what kind of adapter it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Caps {
    /// Invocations per workgroup.
    pub max_workgroup: u32,
    /// Workgroups per dimension of a dispatch.
    pub max_workgroups: u32,
    /// Bytes that one binding may cover.
    pub max_binding: u64,
    /// Bytes of one buffer.
    pub max_buffer: u64,
    /// What a binding's offset must be a multiple of, in bytes.
    pub alignment: u64,
    /// Storage buffers of one kernel.
    pub max_storage_buffers: u32,
    /// Bytes of shared memory per workgroup.
    pub workgroup_storage: u32,
    /// The sizes of subgroups, where they are on.
    pub subgroup: Option<SubgroupSizes>,
    /// How f16 is converted.
    pub f16: F16,
    /// A driver that runs on the CPU, where barriers cost more than memory does.
    pub software: bool,
}

impl Caps {
    /// The limits that every WebGPU device grants.
    pub const WEBGPU: Caps = Caps {
        max_workgroup: 256,
        max_workgroups: 65535,
        max_binding: 128 << 20,
        max_buffer: 256 << 20,
        alignment: 256,
        max_storage_buffers: 8,
        workgroup_storage: 16 << 10,
        subgroup: None,
        f16: F16::Integer,
        software: false,
    };

    /// The same where the numbers make sense, and else what a plan can work with.
    pub(crate) fn usable(&self) -> Caps {
        let fits = |&SubgroupSizes { min, max }: &SubgroupSizes| {
            let powers = min.is_power_of_two() && max.is_power_of_two();
            powers && 1 < min && min <= max && max <= self.max_workgroup.min(LARGEST_SUBGROUP)
        };
        Caps {
            max_workgroup: self.max_workgroup.max(1),
            max_workgroups: self.max_workgroups.max(1),
            alignment: self.alignment.clamp(4, 1 << 32).next_power_of_two(),
            subgroup: self.subgroup.filter(fits),
            ..*self
        }
    }

    /// The same where `device` has as much, and else what it has.
    pub(crate) fn within(&self, device: &Caps) -> Caps {
        Caps {
            max_workgroup: self.max_workgroup.min(device.max_workgroup),
            max_workgroups: self.max_workgroups.min(device.max_workgroups),
            max_binding: self.max_binding.min(device.max_binding),
            max_buffer: self.max_buffer.min(device.max_buffer),
            alignment: self.alignment.max(device.alignment),
            max_storage_buffers: self.max_storage_buffers.min(device.max_storage_buffers),
            workgroup_storage: self.workgroup_storage.min(device.workgroup_storage),
            // Kernels reckon with no other sizes.
            subgroup: self
                .subgroup
                .filter(|sizes| device.subgroup.is_some_and(|own| sizes.min <= own.min && own.max <= sizes.max)),
            f16: self.f16.min(device.f16),
            software: self.software,
        }
    }

    /// What `device` grants.
    pub fn of(device: &wgpu::Device) -> Caps {
        let (limits, info) = (device.limits(), device.adapter_info());
        let sizes = SubgroupSizes { min: info.subgroup_min_size, max: info.subgroup_max_size };
        Caps {
            max_workgroup: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
            max_workgroups: limits.max_compute_workgroups_per_dimension,
            max_binding: limits.max_storage_buffer_binding_size,
            max_buffer: limits.max_buffer_size,
            alignment: u64::from(limits.min_storage_buffer_offset_alignment),
            max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
            workgroup_storage: limits.max_compute_workgroup_storage_size,
            subgroup: device.features().contains(Features::SUBGROUP).then_some(sizes),
            f16: f16(device.features(), &info),
            software: info.device_type == wgpu::DeviceType::Cpu,
        }
    }
}

/// By instructions where they are known to be right.
fn f16(features: Features, info: &wgpu::AdapterInfo) -> F16 {
    let (converts, backend) = (features.contains(Features::SHADER_F16), info.backend);
    // HLSL promises no rounding of its conversions, and a browser does not tell what it translates to.
    if converts && matches!(backend, Backend::Vulkan | Backend::Metal) {
        // To f16 a software driver takes more instructions for the one than our integers are.
        return if info.device_type == wgpu::DeviceType::Cpu { F16::NativeDecode } else { F16::Native };
    }
    // wgpu refuses them on lavapipe without the feature.
    let refused = backend == Backend::Vulkan && info.driver.contains("llvmpipe") && !converts;
    if refused { F16::Integer } else { F16::NativeDecode }
}
