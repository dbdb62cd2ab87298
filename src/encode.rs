//! A plan and its buffers become dispatches in a command encoder.

use std::ops::Range;
use std::sync::Arc;

use wgpu::{BindGroupEntry, BindingResource, BufferBinding};

use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::kernel::Binding;
use crate::plan::{Plan, Scratch, Step};
use crate::prepared::Ready;
use crate::profile::Timestamps;
use crate::tensor::Tensor;

/// The tensors that steps may bind besides their own uniform and scratch.
pub(crate) struct Resources<'a> {
    /// Of the input's shape: a step binds its slice of them.
    pub sliced: &'a [(Binding, &'a Tensor)],
    /// Bound whole: parameters, running statistics, and what is kept instead of scratch.
    pub whole: &'a dyn Fn(Binding) -> Option<&'a Tensor>,
}

/// Compiles and binds all that `plan` needs.
pub(crate) fn prepare(gpu: &Gpu, plan: &Plan, resources: &Resources) -> Result<Arc<[Ready]>> {
    gpu.alive()?;
    // Once for all steps: another thread may grow it meanwhile.
    let used = |binding| plan.steps.iter().any(|step| step.kernel.bindings().iter().any(|used| used.0 == binding));
    let scratch = Scratch::BINDINGS
        .into_iter()
        .filter(|&binding| used(binding) && (resources.whole)(binding).is_none())
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
    if binding == Binding::Params {
        let uniform = gpu.uniform(&step.params)?;
        let range = 0..uniform.size();
        return Ok((uniform, range));
    }
    let sliced = resources.sliced.iter().find(|(sliced, _)| *sliced == binding);
    let (tensor, bytes) = match sliced {
        Some((_, tensor)) => (*tensor, step.bytes.clone()),
        None => {
            let tensor = (resources.whole)(binding).ok_or_else(|| Error::Wgpu {
                message: format!("{} binds {binding:?}, which this layer lacks", step.kernel.name()),
            })?;
            (tensor, 0..tensor.bytes().next_multiple_of(4).max(4))
        }
    };
    Ok((tensor.memory().buffer.clone(), tensor.offset() + bytes.start..tensor.offset() + bytes.end))
}
