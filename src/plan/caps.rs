//! The few numbers of an adapter that planning may look at; never its name.

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
    /// The size of every subgroup, where subgroups are on and have one size.
    pub subgroup: Option<u32>,
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
        software: false,
    };

    /// The same where the numbers make sense, and else what a plan can work with.
    pub(crate) fn usable(&self) -> Caps {
        let fits = |size: &u32| size.is_power_of_two() && *size > 1 && *size <= self.max_workgroup;
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
            // Kernels reckon with exactly this many lanes.
            subgroup: self.subgroup.filter(|_| self.subgroup == device.subgroup),
            software: self.software,
        }
    }

    /// What `device` grants.
    pub fn of(device: &wgpu::Device) -> Caps {
        let (limits, info) = (device.limits(), device.adapter_info());
        let uniform = info.subgroup_min_size == info.subgroup_max_size && info.subgroup_min_size > 1;
        Caps {
            max_workgroup: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
            max_workgroups: limits.max_compute_workgroups_per_dimension,
            max_binding: limits.max_storage_buffer_binding_size,
            max_buffer: limits.max_buffer_size,
            alignment: u64::from(limits.min_storage_buffer_offset_alignment),
            max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
            workgroup_storage: limits.max_compute_workgroup_storage_size,
            subgroup: (device.features().contains(wgpu::Features::SUBGROUP) && uniform)
                .then_some(info.subgroup_min_size),
            software: info.device_type == wgpu::DeviceType::Cpu,
        }
    }
}
