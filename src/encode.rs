//! A plan and its buffers become dispatches in a command encoder.

use wgpu::{BindGroupEntry, BindingResource, BufferBinding, BufferUsages};

use crate::error::Result;
use crate::gpu::Gpu;
use crate::kernel::Binding;
use crate::plan::{Plan, Step};
use crate::profile::Timestamps;
use crate::tensor::Tensor;

/// The buffers that steps may bind besides their own uniform and scratch.
pub(crate) struct Resources<'a> {
    pub x: &'a Tensor,
    pub y: &'a Tensor,
    /// The layer's parameters and running statistics.
    pub state: &'a dyn Fn(Binding) -> Option<&'a wgpu::Buffer>,
}

/// One step, ready: all that can fail has been done.
struct Ready {
    pipeline: std::sync::Arc<crate::pipeline::Pipeline>,
    group: wgpu::BindGroup,
}

/// Records `plan`. Fails before anything is recorded or not at all.
pub(crate) fn record(
    gpu: &Gpu,
    encoder: &mut wgpu::CommandEncoder,
    plan: &Plan,
    resources: &Resources,
    timestamps: Option<&Timestamps>,
) -> Result<()> {
    gpu.alive()?;
    let scratch = |binding, label| gpu.buffer(label, plan.scratch.bytes(binding), BufferUsages::STORAGE, None);
    let moments = scratch(Binding::Moments, "gpunorm moments")?;
    let statistics = scratch(Binding::Statistics, "gpunorm statistics")?;
    let axes = scratch(Binding::Axes, "gpunorm axes")?;
    let ready: Vec<Ready> = plan
        .steps
        .iter()
        .map(|step| {
            let pipeline = gpu.pipelines().get(gpu, step)?;
            let params = gpu.uniform(&step.params)?;
            let resource = |binding: Binding| match binding {
                Binding::X => slice_of(resources.x, step),
                Binding::Y => slice_of(resources.y, step),
                Binding::Params => params.as_entire_binding(),
                Binding::Moments => moments.as_entire_binding(),
                Binding::Statistics => statistics.as_entire_binding(),
                Binding::Axes => axes.as_entire_binding(),
                // A plan only asks for state that the layer has.
                state => (resources.state)(state).unwrap_or(&moments).as_entire_binding(),
            };
            let entries: Vec<_> = step
                .kernel
                .bindings()
                .into_iter()
                .map(|(binding, _)| BindGroupEntry { binding: binding as u32, resource: resource(binding) })
                .collect();
            let label = Some(step.kernel.name());
            let descriptor = wgpu::BindGroupDescriptor { label, layout: &pipeline.layout, entries: &entries };
            let group = gpu.checked(|device| device.create_bind_group(&descriptor))?;
            Ok(Ready { pipeline, group })
        })
        .collect::<Result<_>>()?;

    for (index, (step, ready)) in plan.steps.iter().zip(&ready).enumerate() {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some(step.kernel.name()),
            timestamp_writes: timestamps.map(|timestamps| timestamps.writes(index)),
        });
        pass.set_pipeline(&ready.pipeline.compute);
        pass.set_bind_group(0, &ready.group, &[]);
        let [x, y] = step.workgroups;
        pass.dispatch_workgroups(x, y, 1);
    }
    Ok(())
}

/// The part of a tensor that a step binds.
fn slice_of<'a>(tensor: &'a Tensor, step: &Step) -> BindingResource<'a> {
    BindingResource::Buffer(BufferBinding {
        buffer: tensor.buffer(),
        offset: tensor.offset() + step.bytes.start,
        size: wgpu::BufferSize::new(step.bytes.end - step.bytes.start),
    })
}
