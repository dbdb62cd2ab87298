//! A step of a plan, ready for CubeCL to launch.

use std::sync::Arc;

use burn_cubecl::cubecl::ir::metadata::Info;
use burn_cubecl::cubecl::ir::settings::Dim3;
use burn_cubecl::cubecl::ir::{ElemType, Scope, UIntKind};
use burn_cubecl::cubecl::prelude::{
    AddressType, CubeKernel, ExecutionMode, KernelDefinition, KernelId, KernelMetadata, KernelSettings,
    PrecompiledSource,
};
use gpunorm::unstable::{Binding, Kernel, Step, Target};

/// A kernel of gpunorm's, with its constants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wgsl {
    kernel: Kernel,
    target: Target,
    constants: Arc<[(&'static str, u32)]>,
}

/// A step: what does not change from call to call.
#[derive(Debug)]
pub struct Launch {
    pub kernel: Wgsl,
    /// What is bound, of the step's resources, in order and without the uniform; and whether it is written.
    pub arguments: Vec<(Binding, bool)>,
    /// The uniform, as CubeCL takes it.
    pub uniform: Vec<u64>,
    pub workgroups: [u32; 2],
    /// What is bound of tensors of the input's shape.
    pub bytes: std::ops::Range<u64>,
}

impl Launch {
    pub fn new(step: &Step, target: Target) -> Launch {
        let kernel = Wgsl { kernel: step.kernel, target, constants: step.constants.clone().into() };
        let arguments = step.kernel.arguments().into_iter().filter(|(binding, _)| *binding != Binding::Params);
        let words = step.params.as_bytes().chunks(8).map(|pair| {
            let mut word = [0; 8];
            word[..pair.len()].copy_from_slice(pair);
            u64::from_le_bytes(word)
        });
        Launch {
            kernel,
            arguments: arguments.map(|(binding, writes)| (step.resource(binding), writes)).collect(),
            uniform: words.collect(),
            workgroups: step.workgroups,
            bytes: step.bytes.clone(),
        }
    }
}

impl KernelMetadata for Wgsl {
    fn name(&self) -> &'static str {
        self.kernel.name()
    }

    // The text follows from these.
    fn id(&self) -> KernelId {
        // Kernels stay in bounds by themselves, and end (gpunorm's src/device/pipeline.rs says why): CubeCL need not count loops.
        KernelId::new::<Self>().mode(ExecutionMode::Unchecked).info(self.clone())
    }

    fn address_type(&self) -> ElemType {
        UIntKind::U32.into()
    }
}

impl CubeKernel for Wgsl {
    /// What CubeCL asks for of every kernel, and does not look at where there is a source.
    fn define(&self) -> KernelDefinition {
        let settings = KernelSettings::new(Dim3::new_single(), ExecutionMode::Unchecked, AddressType::U32);
        KernelDefinition { body: Scope::root(settings.clone()), settings, info: Info::default() }
    }

    fn source(&self) -> Option<PrecompiledSource> {
        Some(PrecompiledSource {
            source: self.kernel.bake(self.target, &self.constants),
            entrypoint_name: self.kernel.name().into(),
            lang: "wgsl",
        })
    }
}
