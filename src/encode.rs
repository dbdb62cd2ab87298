//! A plan and its buffers become dispatches in a command encoder.

use std::ops::Range;
use std::sync::Arc;

use wgpu::{BindGroupEntry, BindingResource, BufferBinding};

use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::kernel::Binding;
use crate::plan::{Plan, Step};
use crate::prepared::Ready;
use crate::profile::Timestamps;
use crate::tensor::Tensor;

/// The buffers that steps may bind besides their own uniform and scratch.
pub(crate) struct Resources<'a> {
    pub x: &'a Tensor,
    pub y: &'a Tensor,
    /// The layer's parameters and running statistics.
    pub state: &'a dyn Fn(Binding) -> Option<&'a wgpu::Buffer>,
}

/// Compiles and binds all that `plan` needs.
pub(crate) fn prepare(gpu: &Gpu, plan: &Plan, resources: &Resources) -> Result<Arc<[Ready]>> {
    gpu.alive()?;
    // Once for all steps: another thread may grow it meanwhile.
    let scratch = [Binding::Moments, Binding::Statistics, Binding::Axes]
        .into_iter()
        .filter(|&binding| plan.steps.iter().any(|step| step.kernel.bindings().iter().any(|used| used.0 == binding)))
        .map(|binding| Ok((binding, gpu.scratch(binding, plan.scratch.bytes(binding))?)))
        .collect::<Result<Vec<_>>>()?;
    let ready = plan.steps.iter().map(|step| {
        let name = step.kernel.name();
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
        let descriptor = wgpu::BindGroupDescriptor { label: Some(name), layout: &pipeline.layout, entries: &entries };
        let group = gpu.checked(|device| device.create_bind_group(&descriptor))?;
        Ok(Ready { name, pipeline, group, workgroups: step.workgroups })
    });
    ready.collect()
}

/// Records what is prepared; nothing in it can fail.
pub(crate) fn record(encoder: &mut wgpu::CommandEncoder, ready: &[Ready], timestamps: Option<&Timestamps>) {
    for (index, step) in ready.iter().enumerate() {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some(step.name),
            timestamp_writes: timestamps.map(|timestamps| timestamps.writes(index)),
        });
        pass.set_pipeline(&step.pipeline.compute);
        pass.set_bind_group(0, &step.group, &[]);
        let [x, y] = step.workgroups;
        pass.dispatch_workgroups(x, y, 1);
    }
}

/// The buffer behind a binding that is not scratch, and which of its bytes a step binds.
fn buffer_for(gpu: &Gpu, step: &Step, resources: &Resources, binding: Binding) -> Result<(wgpu::Buffer, Range<u64>)> {
    let slice = |tensor: &Tensor| {
        let range = tensor.offset() + step.bytes.start..tensor.offset() + step.bytes.end;
        (tensor.memory().buffer.clone(), range)
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
