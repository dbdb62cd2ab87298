//! A plan and its buffers become dispatches in a command encoder.

use std::ops::Range;
use std::sync::Arc;

use wgpu::{BindGroupEntry, BindingResource, BufferBinding};

use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::kernel::Binding;
use crate::pipeline::Pipeline;
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
    pipeline: Arc<Pipeline>,
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
    // Once for all steps: another thread may grow it meanwhile.
    let scratch = [Binding::Moments, Binding::Statistics, Binding::Axes]
        .into_iter()
        .filter(|&binding| plan.steps.iter().any(|step| step.kernel.bindings().iter().any(|used| used.0 == binding)))
        .map(|binding| Ok((binding, gpu.scratch(binding, plan.scratch.bytes(binding))?)))
        .collect::<Result<Vec<_>>>()?;
    let ready: Vec<Ready> = plan
        .steps
        .iter()
        .map(|step| {
            let pipeline = gpu.pipelines().get(gpu, step)?;
            let bound = |binding: Binding| match scratch.iter().find(|(scratch, _)| *scratch == binding) {
                Some((_, buffer)) => Ok((buffer.clone(), 0..plan.scratch.bytes(binding))),
                None => buffer_for(gpu, step, resources, binding),
            };
            let bound = step
                .kernel
                .bindings()
                .into_iter()
                .map(|(binding, _)| Ok((binding, bound(binding)?)))
                .collect::<Result<Vec<_>>>()?;
            let entries: Vec<_> = bound
                .iter()
                .map(|(binding, (buffer, range))| {
                    let size = wgpu::BufferSize::new(range.end - range.start);
                    let resource = BindingResource::Buffer(BufferBinding { buffer, offset: range.start, size });
                    BindGroupEntry { binding: *binding as u32, resource }
                })
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

/// The buffer behind a binding that is not scratch, and which of its bytes a step binds.
fn buffer_for(gpu: &Gpu, step: &Step, resources: &Resources, binding: Binding) -> Result<(wgpu::Buffer, Range<u64>)> {
    let slice = |tensor: &Tensor| {
        let range = tensor.offset() + step.bytes.start..tensor.offset() + step.bytes.end;
        (tensor.buffer().clone(), range)
    };
    let buffer = match binding {
        Binding::X => return Ok(slice(resources.x)),
        Binding::Y => return Ok(slice(resources.y)),
        Binding::Params => gpu.uniform(&step.params)?,
        state => (resources.state)(state).cloned().ok_or_else(|| Error::Wgpu {
            message: format!("{} binds {state:?}, which this layer lacks", step.kernel.name()),
        })?,
    };
    let range = 0..buffer.size();
    Ok((buffer, range))
}
