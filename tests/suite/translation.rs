//! Kernels by naga, as wgpu makes them for each backend: parsed, with overrides as constants, and as MSL and HLSL.

use gpunorm::unstable::{F16, Kernel, Target};
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{Module, ShaderStage};

const CAPABILITIES: Capabilities =
    Capabilities::SUBGROUP.union(Capabilities::SHADER_FLOAT16).union(Capabilities::SHADER_FLOAT16_IN_FLOAT32);

/// For a device that converts f16 as `f16` says.
pub fn parse(kernel: Kernel, f16: F16) -> (Module, ModuleInfo) {
    let source = kernel.link(Target { f16, ..Target::default() });
    let module = naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|error| panic!("{kernel:?}: {}", error.emit_to_string(&source)));
    let info = Validator::new(ValidationFlags::all(), CAPABILITIES)
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .unwrap_or_else(|error| panic!("{kernel:?}: {}", error.emit_to_string(&source)));
    (module, info)
}

/// A kernel as a driver gets it: its overrides are constants.
pub fn with_overrides(kernel: Kernel, f16: F16, constants: &[(&'static str, u32)]) -> (Module, ModuleInfo) {
    let (module, info) = parse(kernel, f16);
    let entry = Some((ShaderStage::Compute, kernel.name()));
    let constants = constants.iter().map(|&(name, value)| (name.to_owned(), f64::from(value))).collect();
    let (module, info) = naga::back::pipeline_constants::process_overrides(&module, &info, entry, &constants)
        .unwrap_or_else(|error| panic!("{kernel:?}, {constants:?}: {error}"));
    (module.into_owned(), info.into_owned())
}

/// What Vulkan's drivers get.
pub fn spirv(module: &Module, info: &ModuleInfo) -> Result<Vec<u32>, spv::Error> {
    spv::write_vec(module, info, &spv::Options::default(), None)
}

/// What Metal's compiler gets.
pub fn msl(module: &Module, info: &ModuleInfo) -> Result<String, String> {
    let options = msl::Options { lang_version: (2, 4), fake_missing_bindings: true, ..Default::default() };
    let written = msl::write_string(module, info, &options, &Default::default());
    let (source, translated) = written.map_err(|error| error.to_string())?;
    for name in translated.entry_point_names {
        name.map_err(|error| error.to_string())?;
    }
    Ok(source)
}

/// What DX12's compiler gets. None of f16's instructions, which only Vulkan and Metal are asked for.
pub fn hlsl(module: &Module, info: &ModuleInfo) -> Result<String, hlsl::Error> {
    let options =
        hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, fake_missing_bindings: true, ..Default::default() };
    let mut source = String::new();
    hlsl::Writer::new(&mut source, &options, &hlsl::PipelineOptions::default()).write(module, info, None)?;
    Ok(source)
}
