//! A kernel as a Vulkan driver gets it of wgpu.

use gpunorm::unstable::{F16, Step, Target};
use naga::ShaderStage;
use naga::back::{pipeline_constants, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};

/// What a device of today has.
const CAPABILITIES: Capabilities =
    Capabilities::SUBGROUP.union(Capabilities::SHADER_FLOAT16).union(Capabilities::SHADER_FLOAT16_IN_FLOAT32);

/// Without checks and with its overrides as constants, as src/device/pipeline.rs has it compiled.
pub fn spirv(step: &Step) -> Result<Vec<u32>, String> {
    let kernel = step.kernel;
    let told = |what: &str, error: &dyn std::fmt::Display| format!("{kernel:?} {what}: {error}");
    let target = Target { f16: F16::Native, ..Target::default() };
    let module = naga::front::wgsl::parse_str(&kernel.link(target)).map_err(|error| told("does not parse", &error))?;
    let info = Validator::new(ValidationFlags::all(), CAPABILITIES)
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .map_err(|error| told("is not valid", &error))?;
    let constants = step.constants.iter().map(|&(name, value)| (name.to_owned(), f64::from(value))).collect();
    let entry = Some((ShaderStage::Compute, kernel.name()));
    let (module, info) = pipeline_constants::process_overrides(&module, &info, entry, &constants)
        .map_err(|error| told("does not take its overrides", &error))?;
    let unchecked = BoundsCheckPolicy::Unchecked;
    let options = spv::Options {
        lang_version: (1, 6),
        flags: spv::WriterFlags::empty(),
        bounds_check_policies: BoundsCheckPolicies {
            index: unchecked,
            buffer: unchecked,
            image_load: unchecked,
            binding_array: unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..Default::default()
    };
    let entry = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: kernel.name().to_owned() };
    spv::write_vec(&module, &info, &options, Some(&entry)).map_err(|error| told("has no SPIR-V", &error))
}
