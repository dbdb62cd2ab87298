//! A plan and its buffers become dispatches in a command encoder.

use std::ops::Range;
use std::sync::Arc;

use wgpu::{BindGroupEntry, BindingResource, BufferBinding};

use super::prepared::Dispatch;
use crate::device::{Gpu, Tensor, Timestamps};
use crate::error::{Error, Result};
use crate::kernel::Binding;
use crate::plan::{Plan, Scratch, Step};

/// The tensors that steps may bind besides their own uniform and scratch.
pub(crate) struct Resources<'a> {
    /// Of the input's shape: a step binds its slice of them.
    pub sliced: &'a [(Binding, &'a Tensor)],
    /// Bound whole: parameters, running statistics, and what is kept instead of scratch.
    pub whole: &'a dyn Fn(Binding) -> Option<&'a Tensor>,
}

/// Compiles and binds all that `plan` needs; `during` is what the caller does.
pub(crate) fn prepare(gpu: &Gpu, plan: &Plan, resources: &Resources, during: &'static str) -> Result<Arc<[Dispatch]>> {
    gpu.checked().check_alive(during)?;
    // Once for all steps: another thread may grow it meanwhile.
    let used = |binding| plan.steps.iter().any(|step| step.kernel.bindings().iter().any(|used| used.0 == binding));
    let scratch = Scratch::BINDINGS
        .into_iter()
        .filter(|&binding| used(binding) && (resources.whole)(binding).is_none())
        .map(|binding| Ok((binding, gpu.buffers().scratch(binding, plan.scratch.bytes(binding))?)))
        .collect::<Result<Vec<_>>>()?;
    let dispatches = plan.steps.iter().map(|step| {
        let name = step.kernel.name();
        let pipeline = gpu.pipelines().get(step)?;
        let uniform = gpu.buffers().uniform(&step.params)?;
        let bound = |binding| match scratch.iter().find(|(scratch, _)| *scratch == binding) {
            Some((_, buffer)) => Ok((&**buffer, 0..plan.scratch.bytes(binding))),
            None if binding == Binding::Params => Ok((&*uniform, 0..uniform.size())),
            None => tensor_for(step, resources, binding, during),
        };
        let entry = |(binding, _)| {
            let (buffer, range) = bound(binding)?;
            let size = wgpu::BufferSize::new(range.end - range.start);
            let resource = BindingResource::Buffer(BufferBinding { buffer, offset: range.start, size });
            Ok(BindGroupEntry { binding: binding as u32, resource })
        };
        let entries = step.kernel.bindings().into_iter().map(entry).collect::<Result<Vec<_>>>()?;
        let descriptor = wgpu::BindGroupDescriptor { label: Some(name), layout: &pipeline.layout, entries: &entries };
        let group = gpu.checked().call(during, |device| device.create_bind_group(&descriptor))?;
        let _held = scratch.iter().map(|(_, buffer)| buffer).chain([&uniform]).cloned().collect();
        Ok(Dispatch { name, pipeline, group, workgroups: step.workgroups, _held })
    });
    dispatches.collect()
}

/// Records what is prepared; nothing in it can fail.
pub(crate) fn record(encoder: &mut wgpu::CommandEncoder, dispatches: &[Dispatch], timestamps: Option<&Timestamps>) {
    for (index, step) in dispatches.iter().enumerate() {
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

/// The buffer behind a binding of a tensor, and which of its bytes a step binds.
fn tensor_for<'a>(
    step: &Step,
    resources: &Resources<'a>,
    binding: Binding,
    during: &'static str,
) -> Result<(&'a wgpu::Buffer, Range<u64>)> {
    let sliced = resources.sliced.iter().find(|(sliced, _)| *sliced == binding);
    let (tensor, bytes) = match sliced {
        Some((_, tensor)) => (*tensor, step.bytes.clone()),
        None => {
            let tensor = (resources.whole)(binding).ok_or_else(|| {
                let message = format!("{} binds {binding:?}, which this layer lacks", step.kernel.name());
                Error::Wgpu { during, message }
            })?;
            (tensor, 0..tensor.bytes().next_multiple_of(4).max(4))
        }
    };
    Ok((&tensor.memory().buffer, tensor.offset() + bytes.start..tensor.offset() + bytes.end))
}
