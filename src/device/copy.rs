//! Copies that are dispatches: into an open compute pass, and of half a word.

use wgpu::{BindGroupDescriptor, BindGroupEntry, BindingResource, BufferBinding, BufferSize};

use super::buffers::Purpose;
use super::dispatch::Dispatch;
use super::gpu::Gpu;
use super::tensor::Tensor;
use crate::error::Result;

/// A buffer and a byte in it.
type Place<'a> = (&'a wgpu::Buffer, u64);

/// Of a workgroup of shaders/device/copy.wgsl.
const INVOCATIONS: u64 = 64;

/// Copies all elements of each first tensor into the second, of the same shape and type.
pub(crate) fn copies<'a>(
    pairs: impl IntoIterator<Item = (&'a Tensor, &'a Tensor)>,
    during: &'static str,
) -> Result<Vec<Dispatch>> {
    let mut dispatches = vec![];
    for (from, to) in pairs {
        let [source, destination] = [from, to].map(|tensor| &tensor.memory().buffer);
        for (at, bytes) in parts(to) {
            let (from, to_place) = ((source, from.offset() + at), (destination, to.offset() + at));
            dispatches.push(copy(to.gpu(), from, to_place, 1, bytes, during)?);
        }
    }
    Ok(dispatches)
}

/// Sets all elements of these to 0.
pub(crate) fn zeros<'a>(tensors: impl IntoIterator<Item = &'a Tensor>, during: &'static str) -> Result<Vec<Dispatch>> {
    let mut dispatches = vec![];
    let mut zero = None;
    for to in tensors {
        let zero = match &zero {
            Some(zero) => zero,
            None => zero.insert(to.gpu().buffers().buffer(Purpose::WORD, 4, Some(&[0; 4]))?),
        };
        for (at, bytes) in parts(to) {
            let place = (&to.memory().buffer, to.offset() + at);
            dispatches.push(copy(to.gpu(), (zero, 0), place, 0, bytes, during)?);
        }
    }
    Ok(dispatches)
}

/// Where parts of a tensor begin, and their bytes: it may be larger than what one binding holds.
fn parts(tensor: &Tensor) -> impl Iterator<Item = (u64, u64)> {
    let (caps, all) = (tensor.gpu().caps(), tensor.byte_len());
    let most = (caps.max_binding - caps.max_binding % caps.alignment).max(caps.alignment);
    (0..all.div_ceil(most)).map(move |number| (number * most, most.min(all - number * most)))
}

/// Copies the low half of a word into that of another, whose high half stays.
pub(super) fn half_word(gpu: &Gpu, from: Place, to: Place, during: &'static str) -> Result<Dispatch> {
    copy(gpu, from, to, 1, 2, during)
}

fn copy(gpu: &Gpu, from: Place, to: Place, stride: u32, bytes: u64, during: &'static str) -> Result<Dispatch> {
    let pipeline = gpu.pipelines().copy()?;
    let (alignment, words) = (gpu.caps().alignment, bytes / 4);
    // A binding begins where it may.
    let word = |(_, at): Place| (at % alignment / 4) as u32;
    let job = [word(from), word(to), stride, words as u32, u32::from(!bytes.is_multiple_of(4))];
    let job = gpu.buffers().buffer(Purpose::UNIFORM, size_of_val(&job) as u64, Some(bytemuck::bytes_of(&job)))?;
    let read = if stride == 0 { 4 } else { bytes };
    let entries = [bind(from, read, alignment), bind(to, bytes, alignment), job.as_entire_binding()];
    let entries: Vec<_> = (0..).zip(entries).map(|(binding, resource)| BindGroupEntry { binding, resource }).collect();
    let descriptor = BindGroupDescriptor { label: Some("copy"), layout: &pipeline.layout, entries: &entries };
    let group = gpu.checked().call(during, |device| device.create_bind_group(&descriptor))?;
    let workgroups = [words.div_ceil(INVOCATIONS).clamp(1, gpu.caps().max_workgroups.into()) as u32, 1];
    Ok(Dispatch { name: "copy", pipeline, group, workgroups, _held: vec![] })
}

/// So many bytes, and those before them down to where a binding may begin.
fn bind((buffer, at): Place<'_>, bytes: u64, alignment: u64) -> BindingResource<'_> {
    let offset = at - at % alignment;
    let size = BufferSize::new(at - offset + bytes.next_multiple_of(4));
    BindingResource::Buffer(BufferBinding { buffer, offset, size })
}
