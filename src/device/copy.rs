//! Copies that are dispatches: into an open compute pass, of rows that lie apart, and of half a word.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};
use wgpu::{BindGroupDescriptor, BindGroupEntry, BindingResource, BufferBinding, BufferSize};

use super::buffers::Purpose;
use super::dispatch::Dispatch;
use super::gpu::Gpu;
use super::tensor::Tensor;
use crate::error::Result;
use crate::spec::strides::{Pitch, Rows, in_ranges, longest_rows};

/// A buffer and a byte in it.
type Place<'a> = (&'a wgpu::Buffer, u64);

/// Of a workgroup of shaders/device/copy.wgsl.
const INVOCATIONS: u64 = 64;

/// The uniform of shaders/device/copy.wgsl, which explains it.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Job {
    source: u32,
    destination: u32,
    stride: u32,
    words: u32,
    half: u32,
    first_row: u32,
    end_row: u32,
    period: u32,
    source_row: u32,
    source_group: u32,
    destination_row: u32,
    destination_group: u32,
}

/// Copies all elements of each first tensor into the second, of the same shape and type.
pub(crate) fn copies<'a>(
    pairs: impl IntoIterator<Item = (&'a Tensor, &'a Tensor)>,
    during: &'static str,
) -> Result<Vec<Dispatch>> {
    let mut dispatches = vec![];
    for (from, to) in pairs {
        let [source, destination] = [from, to].map(|tensor| &tensor.memory().buffer);
        if !from.is_contiguous() || !to.is_contiguous() {
            let places = [from, to].map(|tensor| (tensor.strides(), tensor.first_element()));
            let rows = longest_rows(to.shape(), places).map_err(|reason| from.strides_error("the source", reason))?;
            dispatches.extend(copy_rows(to, source, rows, 1, during)?);
            continue;
        }
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
        if !to.is_contiguous() {
            let place = (to.strides(), to.first_element());
            let Rows { count, len, period, pitches: [own] } =
                longest_rows(to.shape(), [place]).map_err(|reason| to.strides_error("the tensor", reason))?;
            let rows = Rows { count, len, period, pitches: [Pitch { first: 0, row: 0, group: 0 }, own] };
            dispatches.extend(copy_rows(to, zero, rows, 0, during)?);
            continue;
        }
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
    let (alignment, words) = (gpu.caps().alignment, bytes / 4);
    // A binding begins where it may.
    let word = |(_, at): Place| (at % alignment / 4) as u32;
    let half = u32::from(!bytes.is_multiple_of(4));
    let job = Job {
        source: word(from),
        destination: word(to),
        stride,
        words: words as u32,
        half,
        end_row: 1,
        period: 1,
        ..Job::zeroed()
    };
    let read = if stride == 0 { 4 } else { bytes };
    dispatch(gpu, [bind(from, read, alignment), bind(to, bytes, alignment)], job, during)
}

/// Copies rows of whole words from `source` to where they lie in `to`, in pieces where a binding holds no whole one.
fn copy_rows(
    to: &Tensor,
    source: &wgpu::Buffer,
    rows: Rows<2>,
    stride: u32,
    during: &'static str,
) -> Result<Vec<Dispatch>> {
    let (caps, word) = (to.gpu().caps(), 4 / to.dtype().size());
    let most = caps.max_binding.min(u64::from(u32::MAX)).saturating_sub(caps.alignment);
    let most = (most / 4).max(1) as usize * word;
    let mut dispatches = vec![];
    for start in (0..rows.len).step_by(most) {
        let [mut from, mut own] = rows.pitches;
        from.first += start * stride as usize;
        own.first += start;
        let piece = Rows { len: most.min(rows.len - start), pitches: [from, own], ..rows };
        dispatches.extend(copy_whole_rows(to, source, piece, stride, during)?);
    }
    Ok(dispatches)
}

/// The same of rows that fit a binding each.
fn copy_whole_rows(
    to: &Tensor,
    source: &wgpu::Buffer,
    rows: Rows<2>,
    stride: u32,
    during: &'static str,
) -> Result<Vec<Dispatch>> {
    let (gpu, size) = (to.gpu(), to.dtype().size());
    let (alignment, limit) = (gpu.caps().alignment, gpu.caps().max_binding);
    let Rows { count, len, period, pitches } = rows;
    let read = if stride == 0 { 4 / size } else { len };
    // The bytes of a binding, which begins where it may.
    let bytes = |range: &Range<usize>| {
        let of = |pitch: Pitch, len| {
            let span = pitch.span(len, period, range);
            let [start, end] = [span.start, span.end].map(|element| element as u64 * size as u64);
            start - start % alignment..end
        };
        [of(pitches[0], read), of(pitches[1], len)]
    };
    let fits = |range: &Range<usize>| range.len() == 1 || bytes(range).iter().all(|b| b.end - b.start <= limit);
    let words = |elements: usize| (elements * size / 4) as u32;
    let dispatches = in_ranges(count, count, usize::MAX, fits).into_iter().flatten().map(|range| {
        let bindings = bytes(&range);
        // Of row 0, which may lie before the binding.
        let start = |tensor: usize| words(pitches[tensor].first).wrapping_sub((bindings[tensor].start / 4) as u32);
        let job = Job {
            source: start(0),
            destination: start(1),
            stride,
            words: words(len),
            half: 0,
            first_row: range.start as u32,
            end_row: range.end as u32,
            period: period as u32,
            source_row: words(pitches[0].row),
            source_group: words(pitches[0].group),
            destination_row: words(pitches[1].row),
            destination_group: words(pitches[1].group),
        };
        let bound = [(source, &bindings[0]), (&to.memory().buffer, &bindings[1])].map(|(buffer, bytes)| {
            let size = BufferSize::new(bytes.end - bytes.start);
            BindingResource::Buffer(BufferBinding { buffer, offset: bytes.start, size })
        });
        dispatch(gpu, bound, job, during)
    });
    dispatches.collect()
}

fn dispatch(
    gpu: &Gpu,
    [source, destination]: [BindingResource; 2],
    job: Job,
    during: &'static str,
) -> Result<Dispatch> {
    let pipeline = gpu.pipelines().copy()?;
    let uniform = gpu.buffers().buffer(Purpose::UNIFORM, size_of::<Job>() as u64, Some(bytemuck::bytes_of(&job)))?;
    let entries = [source, destination, uniform.as_entire_binding()];
    let entries: Vec<_> = (0..).zip(entries).map(|(binding, resource)| BindGroupEntry { binding, resource }).collect();
    let descriptor = BindGroupDescriptor { label: Some("copy"), layout: &pipeline.layout, entries: &entries };
    let group = gpu.checked().call(during, |device| device.create_bind_group(&descriptor))?;
    let most = u64::from(gpu.caps().max_workgroups);
    let turns = |count: u64| count.clamp(1, most) as u32;
    let rows = job.end_row - job.first_row;
    let workgroups = [turns(u64::from(job.words).div_ceil(INVOCATIONS)), turns(rows.into())];
    Ok(Dispatch { name: "copy", pipeline, group, workgroups, held: vec![] })
}

/// So many bytes, and those before them down to where a binding may begin.
fn bind((buffer, at): Place<'_>, bytes: u64, alignment: u64) -> BindingResource<'_> {
    let offset = at - at % alignment;
    let size = BufferSize::new(at - offset + bytes.next_multiple_of(4));
    BindingResource::Buffer(BufferBinding { buffer, offset, size })
}
