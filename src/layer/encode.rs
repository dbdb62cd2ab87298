//! A plan and its buffers become dispatches in a command encoder.

use std::ops::Range;

use wgpu::{BindGroupEntry, BindingResource, BufferBinding};

use crate::device::{Dispatch, Gpu, Tensor, Timestamps, record};
use crate::error::{Cause, Error, Result};
use crate::kernel::Binding;
use crate::plan::{Plan, Scratch, Step};

/// What is bound in the place of a tensor that a step does not read: a unit, however wide.
const UNREAD_BYTES: u64 = 16;

/// The tensors that steps may bind besides their own uniform and scratch.
pub(crate) struct Resources<'a> {
    /// Of the input's shape: a step binds its slice of them.
    pub sliced: &'a [(Binding, &'a Tensor)],
    /// What nobody wants and a step may write all the same, and how many bytes it takes.
    pub discarded: &'a [(Binding, u64)],
    /// Bound whole: parameters, running statistics, and what is kept instead of scratch.
    pub whole: &'a dyn Fn(Binding) -> Option<&'a Tensor>,
}

/// Compiles and binds all that `plan` needs; `during` is what the caller does.
pub(crate) fn prepare(gpu: &Gpu, plan: &Plan, resources: &Resources, during: &'static str) -> Result<Vec<Dispatch>> {
    gpu.checked().check_alive(during)?;
    // Once for all steps: another thread may grow it meanwhile.
    let uses = |step: &Step, binding| step.kernel.bindings().iter().any(|used| step.resource(used.0) == binding);
    let used = |binding| plan.steps.iter().any(|step| uses(step, binding));
    let sliced = |binding| resources.sliced.iter().any(|(sliced, _)| *sliced == binding);
    let given = |binding| sliced(binding) || (resources.whole)(binding).is_some();
    let scratch = Scratch::BINDINGS
        .into_iter()
        .map(|binding| (binding, plan.scratch.bytes(binding)))
        .chain(resources.discarded.iter().copied())
        .filter(|&(binding, _)| used(binding) && !given(binding))
        .map(|(binding, bytes)| Ok((binding, bytes, gpu.buffers().scratch(binding, bytes)?)))
        .collect::<Result<Vec<_>>>()?;
    let in_place = plan.steps.iter().any(|step| step.replaced().is_some());
    let unread = in_place.then(|| gpu.buffers().scratch(Binding::X, UNREAD_BYTES)).transpose()?;
    let dispatches = plan.steps.iter().map(|step| {
        let name = step.kernel.name();
        let pipeline = gpu.pipelines().get(step, gpu.caps().f16)?;
        let uniform = gpu.buffers().uniform(&step.params)?;
        let bound = |binding| match scratch.iter().find(|(scratch, ..)| *scratch == binding) {
            // As a tensor of the input's shape would be.
            Some((Binding::Dy, _, shared)) => Ok((&shared.buffer, step.bytes.clone())),
            Some((_, bytes, shared)) => Ok((&shared.buffer, 0..*bytes)),
            None if binding == Binding::Params => Ok((&uniform.buffer, 0..uniform.buffer.size())),
            None => match &unread {
                Some(shared) if step.replaced() == Some(binding) => Ok((&shared.buffer, 0..UNREAD_BYTES)),
                _ => tensor_for(gpu, step, resources, binding, during),
            },
        };
        let entry = |(binding, _)| {
            let (buffer, range) = bound(step.resource(binding))?;
            let size = wgpu::BufferSize::new(range.end - range.start);
            let resource = BindingResource::Buffer(BufferBinding { buffer, offset: range.start, size });
            Ok(BindGroupEntry { binding: binding as u32, resource })
        };
        let entries = step.kernel.bindings().into_iter().map(entry).collect::<Result<Vec<_>>>()?;
        let descriptor = wgpu::BindGroupDescriptor { label: Some(name), layout: &pipeline.layout, entries: &entries };
        let group = gpu.checked().call(during, |device| device.create_bind_group(&descriptor))?;
        let held = scratch.iter().map(|(.., shared)| shared).chain(&unread).chain([&uniform]).cloned().collect();
        Ok(Dispatch { name, pipeline, group, workgroups: step.workgroups, held })
    });
    dispatches.collect()
}

/// Records what is prepared, with the time of each.
pub(super) fn record_timed(encoder: &mut wgpu::CommandEncoder, dispatches: &[Dispatch], timestamps: &Timestamps) {
    for (index, dispatch) in dispatches.iter().enumerate() {
        let (label, timestamp_writes) = (Some(dispatch.name), Some(timestamps.writes(index)));
        let descriptor = wgpu::ComputePassDescriptor { label, timestamp_writes };
        record(&mut encoder.begin_compute_pass(&descriptor), std::slice::from_ref(dispatch));
    }
}

/// The buffer behind a binding of a tensor, and which of its bytes a step binds.
fn tensor_for<'a>(
    gpu: &Gpu,
    step: &Step,
    resources: &Resources<'a>,
    binding: Binding,
    during: &'static str,
) -> Result<(&'a wgpu::Buffer, Range<u64>)> {
    let sliced = resources.sliced.iter().find(|(sliced, _)| *sliced == binding);
    let alignment = gpu.caps().alignment;
    let (tensor, bytes) = match (sliced, step.pitched_bytes(binding)) {
        (Some((_, tensor)), Some(bytes)) => {
            let begin = tensor.offset() - tensor.offset() % alignment;
            return Ok((&tensor.memory().buffer, begin + bytes.start..begin + bytes.end));
        }
        (Some((_, tensor)), None) => (*tensor, step.bytes.clone()),
        (None, _) => {
            let tensor = (resources.whole)(binding).ok_or_else(|| {
                let message = format!("{} binds {binding:?}, which this layer lacks", step.kernel.name());
                Error::Wgpu { during, source: Cause::new(message) }
            })?;
            // What is added by channel is read in units, of which the last may be begun only.
            let units = tensor.bound_units().filter(|_| binding == Binding::AddBefore);
            (tensor, 0..units.unwrap_or(tensor.bound_bytes()))
        }
    };
    Ok((&tensor.memory().buffer, tensor.offset() + bytes.start..tensor.offset() + bytes.end))
}
