//! RADV's null device: a compiler, and what it says of a kernel.

use std::error::Error;
use std::ffi::CString;

use ash::khr::pipeline_executable_properties;
use ash::vk;
use gpunorm::unstable::{Binding, Kernel};
use serde_json::{Map, Value};

/// A device that compiles. Nothing of it is destroyed before the process ends, which is soon.
pub struct Radv {
    // Holds the library that all else is called in.
    _entry: ash::Entry,
    device: ash::Device,
    executables: pipeline_executable_properties::Device,
    /// Names and versions.
    pub driver: String,
}

impl Radv {
    /// The GPU of this family, which `RADV_FORCE_FAMILY` has to name.
    pub fn open(family: &str) -> Result<Radv, Box<dyn Error>> {
        // SAFETY: handles are of the instance and the device made here, and what is pointed to lives until the calls end.
        unsafe {
            let entry = ash::Entry::load()?;
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let instance =
                entry.create_instance(&vk::InstanceCreateInfo::default().application_info(&application), None)?;
            for physical in instance.enumerate_physical_devices()? {
                let mut driver = vk::PhysicalDeviceDriverProperties::default();
                let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
                instance.get_physical_device_properties2(physical, &mut properties);
                let name = properties.properties.device_name_as_c_str()?.to_string_lossy().into_owned();
                if driver.driver_id != vk::DriverId::MESA_RADV || !name.to_lowercase().contains(family) {
                    continue;
                }
                let driver = format!("{name}, {}", driver.driver_info_as_c_str()?.to_string_lossy());
                let priorities = [1.0];
                let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&priorities)];
                let extensions = [pipeline_executable_properties::NAME.as_ptr()];
                let mut executables =
                    vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
                let mut features = vk::PhysicalDeviceVulkan13Features::default().subgroup_size_control(true);
                let info = vk::DeviceCreateInfo::default()
                    .queue_create_infos(&queues)
                    .enabled_extension_names(&extensions)
                    .push_next(&mut executables)
                    .push_next(&mut features);
                let device = instance.create_device(physical, &info, None)?;
                let executables = pipeline_executable_properties::Device::new(&instance, &device);
                return Ok(Radv { _entry: entry, device, executables, driver });
            }
        }
        Err(format!("no {family} of Mesa's RADV among the Vulkan devices").into())
    }

    /// All statistics of a kernel compiled for waves of so many lanes, by RADV's names.
    pub fn statistics(&self, kernel: Kernel, spirv: &[u32], wave: u32) -> Result<Map<String, Value>, Box<dyn Error>> {
        let name = CString::new(kernel.name())?;
        let bindings: Vec<_> = kernel.bindings().into_iter().map(|(binding, _)| layout_binding(binding)).collect();
        // SAFETY: as above; naga has made the SPIR-V.
        unsafe {
            let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let sets = [self.device.create_descriptor_set_layout(&info, None)?];
            let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = self.device.create_pipeline_layout(&info, None)?;
            let module = self.device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(spirv), None)?;
            let mut size =
                vk::PipelineShaderStageRequiredSubgroupSizeCreateInfo::default().required_subgroup_size(wave);
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(&name)
                .push_next(&mut size);
            let info = vk::ComputePipelineCreateInfo::default()
                .flags(vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR)
                .stage(stage)
                .layout(layout);
            let created = self.device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            let pipeline = created.map_err(|(_, error)| error)?[0];
            let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
            let mut statistics = Map::new();
            for statistic in self.executables.get_pipeline_executable_statistics(&info)? {
                if statistic.format == vk::PipelineExecutableStatisticFormatKHR::UINT64 {
                    let name = statistic.name_as_c_str()?.to_string_lossy().into_owned();
                    statistics.insert(name, statistic.value.u64.into());
                }
            }
            Ok(statistics)
        }
    }
}

fn layout_binding(binding: Binding) -> vk::DescriptorSetLayoutBinding<'static> {
    let kind = match binding {
        Binding::Params => vk::DescriptorType::UNIFORM_BUFFER,
        _ => vk::DescriptorType::STORAGE_BUFFER,
    };
    vk::DescriptorSetLayoutBinding::default()
        .binding(binding as u32)
        .descriptor_type(kind)
        .descriptor_count(1)
        .stage_flags(vk::ShaderStageFlags::COMPUTE)
}
