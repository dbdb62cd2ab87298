//! Every kernel that a plan can pick is valid WGSL, binds what the host says it binds, and translates to SPIR-V, MSL
//! and HLSL: portability to Vulkan, Metal and DX12, tested without any of them.

use std::collections::BTreeSet;

use gpunorm::kernel::{Binding, Kernel};
use gpunorm::plan::Step;
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, GlobalUse, ModuleInfo, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, StorageAccess};

fn parse(kernel: Kernel) -> (Module, ModuleInfo) {
    let source = kernel.link("");
    let module = naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|error| panic!("{kernel:?}: {}", error.emit_to_string(&source)));
    let info = Validator::new(ValidationFlags::all(), Capabilities::SUBGROUP)
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .unwrap_or_else(|error| panic!("{kernel:?}: {}", error.emit_to_string(&source)));
    (module, info)
}

/// The shader of a step as a driver gets it: without overrides.
pub fn with_overrides(step: &Step) -> (Module, ModuleInfo) {
    let (module, info) = parse(step.kernel);
    let entry = Some((ShaderStage::Compute, step.kernel.name()));
    let constants = step.constants.iter().map(|&(name, value)| (name.to_owned(), f64::from(value))).collect();
    let (module, info) = naga::back::pipeline_constants::process_overrides(&module, &info, entry, &constants)
        .unwrap_or_else(|error| panic!("{step:?}: {error}"));
    (module.into_owned(), info.into_owned())
}

#[test]
fn kernels_are_valid_and_bind_what_the_host_says() {
    for kernel in Kernel::all() {
        let (module, info) = parse(kernel);
        assert_eq!(module.entry_points.len(), 1, "{kernel:?}");
        assert_eq!(module.entry_points[0].name, kernel.name());
        let entry = info.get_entry_point(0);
        let shader: BTreeSet<(u32, bool)> = module
            .global_variables
            .iter()
            .filter(|&(handle, _)| entry[handle] != GlobalUse::empty())
            .filter_map(|(_, global)| {
                let binding = global.binding?;
                assert_eq!(binding.group, 0);
                let writes =
                    matches!(global.space, AddressSpace::Storage { access } if access.contains(StorageAccess::STORE));
                Some((binding.binding, writes))
            })
            .collect();
        let host: BTreeSet<_> =
            kernel.bindings().into_iter().map(|(binding, writes)| (binding as u32, writes)).collect();
        assert_eq!(shader, host, "{kernel:?}");
        // WebGPU's default is 8 storage buffers; the uniform is not one.
        assert!(host.iter().filter(|(binding, _)| *binding != Binding::Params as u32).count() <= 8, "{kernel:?}");
    }
}

#[test]
fn the_uniform_is_the_same_on_both_sides() {
    let (module, _) = parse(Kernel::all()[0]);
    let (_, params) =
        module.global_variables.iter().find(|(_, global)| global.name.as_deref() == Some("params")).unwrap();
    let naga::TypeInner::Struct { span, ref members } = module.types[params.ty].inner else { panic!("a struct") };
    assert_eq!(span as usize, size_of::<gpunorm::kernel::Params>());
    let eps = members.iter().find(|member| member.name.as_deref() == Some("eps")).unwrap();
    assert_eq!(eps.offset as usize, std::mem::offset_of!(gpunorm::kernel::Params, eps));
    let batch_scale = members.iter().find(|member| member.name.as_deref() == Some("batch_scale")).unwrap();
    assert_eq!(batch_scale.offset as usize, std::mem::offset_of!(gpunorm::kernel::Params, batch_scale));
}

#[test]
fn kernels_translate_to_every_backend() {
    for kernel in Kernel::all() {
        let (module, info) = parse(kernel);
        let entry = Some((ShaderStage::Compute, kernel.name()));
        let (module, info) =
            naga::back::pipeline_constants::process_overrides(&module, &info, entry, &Default::default())
                .unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
        spv::write_vec(&module, &info, &spv::Options::default(), None)
            .unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
        let options = msl::Options { lang_version: (2, 4), fake_missing_bindings: true, ..Default::default() };
        let (source, translated) = msl::write_string(&module, &info, &options, &Default::default())
            .unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
        assert!(!source.is_empty());
        for name in translated.entry_point_names {
            name.unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
        }
        let options =
            hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, fake_missing_bindings: true, ..Default::default() };
        let pipeline = hlsl::PipelineOptions::default();
        let mut text = String::new();
        hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(&module, &info, None)
            .unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
    }
}
