//! Every kernel that a plan can pick is valid WGSL, binds what the host says it binds, and translates to SPIR-V, MSL
//! and HLSL: portability to Vulkan, Metal and DX12, tested without any of them.

use std::collections::{BTreeSet, HashSet};

use gpunorm::unstable::{Beside, Binding, F16, Geometry, Gradient, Kernel, Parameters, Params, Pass, Strategy, Team};
use gpunorm::{DType, Mode, Plan};
use naga::valid::GlobalUse;
use naga::{AddressSpace, StorageAccess};

use super::data;
use super::plans::zoo;
use super::translation::{hlsl, msl, parse, spirv, with_overrides};

#[test]
fn kernels_are_valid_and_bind_what_the_host_says() {
    let mut most = 0;
    for (kernel, f16) in kernels() {
        let (module, info) = parse(kernel, f16);
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
        // WebGPU's default is 8 storage buffers; the uniform is not one. A layer alone needs no more.
        let storage = host.iter().filter(|(binding, _)| *binding != Binding::Params as u32).count();
        most = most.max(storage);
        assert!(storage <= 8 || has_neighbours(kernel), "{kernel:?}: {storage}");
    }
    // As shaders/README.md says.
    assert_eq!(most, 11);
}

fn has_neighbours(kernel: Kernel) -> bool {
    match kernel {
        Kernel::ForwardRow { beside, .. } | Kernel::ForwardApply { beside, .. } => beside != Beside::NOTHING,
        Kernel::ForwardApplyColumns { beside, .. } => beside != Beside::NOTHING,
        _ => false,
    }
}

#[test]
fn the_uniform_is_the_same_on_both_sides() {
    let (module, _) = parse(Kernel::all()[0], F16::Integer);
    let (_, params) =
        module.global_variables.iter().find(|(_, global)| global.name.as_deref() == Some("params")).unwrap();
    let naga::TypeInner::Struct { span, ref members } = module.types[params.ty].inner else { panic!("a struct") };
    assert_eq!(span as usize, size_of::<Params>());
    let shader: Vec<(&str, usize)> =
        members.iter().map(|member| (member.name.as_deref().unwrap(), member.offset as usize)).collect();
    // The names of the host's fields, in their order: all are of four bytes, and `repr(C)` keeps the order.
    let printed = format!("{:?}", Params::default());
    let fields = printed.trim_start_matches("Params { ").trim_end_matches(" }").split(", ");
    let host: Vec<(&str, usize)> =
        fields.zip(0..).map(|(field, index)| (field.split_once(": ").unwrap().0, 4 * index)).collect();
    assert_eq!(shader, host);
    // And that numbers and floats are in the same places.
    for (member, field) in members.iter().zip(printed.split(", ")) {
        let float = matches!(module.types[member.ty].inner, naga::TypeInner::Scalar(naga::Scalar::F32));
        assert_eq!(float, field.contains("0.0"), "{field}");
    }
}

#[test]
fn kernels_translate_to_every_backend() {
    for (kernel, f16) in kernels() {
        translate(kernel, f16, &[]);
    }
}

/// With every set of overrides that plans of the suite's layers and devices give a kernel: they decide what is left of it.
#[test]
fn planned_kernels_translate_to_every_backend() {
    let listed: HashSet<Kernel> = Kernel::all().into_iter().collect();
    let mut seen = BTreeSet::new();
    for shape in [&[3, 6, 11, 12][..], &[5, 4, 7], &[2, 6, 5000], &[70, 6], &[9, 3, 5]] {
        let specs = data::channel_specs(shape[1]).into_iter().chain(data::trailing_specs(shape, 1));
        let specs = specs.chain(data::layout_specs(shape));
        for (spec, dtype) in specs.flat_map(|spec| [(spec.clone(), DType::F32), (spec, DType::F16)]) {
            for mode in [Mode::Training, Mode::Evaluation] {
                let Ok(geometry) = Geometry::new(&spec, mode, shape) else { continue };
                for caps in &zoo()[..5] {
                    let backward = |input, parameters| Pass::backward(2, input, parameters);
                    let (added, unwanted) = (Gradient::Added, Gradient::Unwanted);
                    let backwards = [(added, added), (added, unwanted), (unwanted, added)].map(|(a, b)| backward(a, b));
                    for pass in backwards.into_iter().chain([Pass::forward(true)]) {
                        let Ok(plan) = Plan::new(&spec, &geometry, dtype, caps, Strategy::default(), pass) else {
                            continue;
                        };
                        for step in plan.steps {
                            assert!(listed.contains(&step.kernel), "Kernel::all() lacks {:?}", step.kernel);
                            if seen.insert(format!("{:?} {:?}", step.kernel, step.constants)) {
                                translate(step.kernel, F16::NativeDecode, &step.constants);
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(seen.len() > 300, "only {}", seen.len());
}

/// All kernels, in each way of converting f16 that makes a difference.
fn kernels() -> impl Iterator<Item = (Kernel, F16)> {
    Kernel::all().into_iter().flat_map(|kernel| {
        F16::ALL.into_iter().take(if kernel.converts_f16() { 3 } else { 1 }).map(move |f16| (kernel, f16))
    })
}

/// The opaque step (shaders/part/common/opaque.wgsl) is there for Metal's fast math above all: what error-free transformations go
/// through has to read what only the uniform knows, wherever a kernel has it.
fn assert_opaque(msl: &str) -> Result<(), String> {
    let functions = msl.split("\n}\n").filter_map(|function| {
        let name = function.rsplit_once(" opaque")?.1.split_once("(\n")?.0;
        let (_, body) = function.split_once(") {\n")?;
        matches!(name, "" | "_each" | "_part").then_some((name, body))
    });
    for (name, body) in functions {
        if !body.contains("params.zero") && !body.contains("opaque") {
            return Err(format!("opaque{name} can be looked into:\n{body}"));
        }
    }
    let sums = msl.find(" two_sum(\n").map(|at| msl[at..].split("\n}\n").next().unwrap_or_default());
    match sums {
        Some(body) if body.matches("opaque(").count() < 2 => {
            Err(format!("a sum's rounding can be looked into:\n{body}"))
        }
        _ => Ok(()),
    }
}

#[test]
fn what_can_be_looked_into_is_told() {
    let (module, info) =
        with_overrides(Kernel::BackwardFold { team: Team::Workgroup, parameters: Parameters::Both }, F16::Integer, &[]);
    let source = msl(&module, &info).unwrap();
    assert_eq!(assert_opaque(&source), Ok(()));
    for (what, less) in [("uint _e4 = params.zero;", "uint _e4 = 0u;"), ("= opaque(", "= (")] {
        assert!(source.contains(what), "{source}");
        assert!(assert_opaque(&source.replace(what, less)).is_err(), "{what}");
    }
}

fn translate(kernel: Kernel, f16: F16, constants: &[(&'static str, u32)]) {
    let (module, info) = with_overrides(kernel, f16, constants);
    spirv(&module, &info).unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
    let source = msl(&module, &info).unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
    assert_opaque(&source).unwrap_or_else(|told| panic!("{kernel:?}: {told}"));
    if f16 != F16::Native {
        hlsl(&module, &info).unwrap_or_else(|error| panic!("{kernel:?}: {error}"));
    }
}
