//! Compiled kernels, each compiled once however many threads ask for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use wgpu::{BindGroupLayoutEntry, BindingType, BufferBindingType, ShaderStages};

use crate::error::Result;
use crate::gpu::Gpu;
use crate::kernel::{Binding, Kernel, Team};
use crate::plan::Step;

/// A pipeline and the layout of its one bind group.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub compute: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// Everything that is baked into a pipeline.
type Key = (Kernel, Vec<(&'static str, u32)>);
type Slot = Arc<OnceLock<Result<Arc<Pipeline>>>>;

/// The pipelines of one device.
#[derive(Debug, Default)]
pub(crate) struct Pipelines {
    slots: Mutex<HashMap<Key, Slot>>,
}

impl Pipelines {
    /// The pipeline of `step`; compiles it if nobody has. The map is not locked meanwhile, so other kernels go on.
    pub fn get(&self, gpu: &Gpu, step: &Step) -> Result<Arc<Pipeline>> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.entry((step.kernel, step.constants.clone())).or_default().clone()
        };
        slot.get_or_init(|| compile(gpu, step).map(Arc::new)).clone()
    }
}

fn compile(gpu: &Gpu, step: &Step) -> Result<Pipeline> {
    let kernel = step.kernel;
    let label = Some(kernel.name());
    let source = kernel.link(directives(kernel));
    let entries: Vec<_> = kernel.bindings().into_iter().map(entry).collect();
    let constants: Vec<_> = step.constants.iter().map(|&(name, value)| (name, f64::from(value))).collect();
    gpu.checked(|device| {
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label,
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let compute = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: label,
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                // Shared memory is written before it is read.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Pipeline { compute, layout }
    })
}

/// Browsers want subgroups enabled by name; naga knows neither directive.
fn directives(kernel: Kernel) -> &'static str {
    match kernel.team() {
        Team::Subgroup if cfg!(target_arch = "wasm32") => Kernel::BROWSER_SUBGROUPS,
        _ => "",
    }
}

fn entry((binding, writes): (Binding, bool)) -> BindGroupLayoutEntry {
    let ty = match binding {
        Binding::Params => BufferBindingType::Uniform,
        _ => BufferBindingType::Storage { read_only: !writes },
    };
    BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: ShaderStages::COMPUTE,
        ty: BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    }
}
