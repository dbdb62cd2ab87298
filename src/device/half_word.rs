//! The last of an odd number of 16-bit elements, which copies of whole words cannot reach alone.

use wgpu::{BindGroupDescriptor, BindGroupEntry, BindingResource, BufferBinding, BufferSize};

use super::buffers::Purpose;
use super::gpu::Gpu;
use crate::error::Result;

/// Records a copy of the low half of the word at a buffer's byte into that of another buffer's, whose high half stays.
pub(super) fn record(
    gpu: &Gpu,
    encoder: &mut wgpu::CommandEncoder,
    from: (&wgpu::Buffer, u64),
    to: (&wgpu::Buffer, u64),
    during: &'static str,
) -> Result<()> {
    let pipeline = gpu.pipelines().half_word()?;
    let alignment = gpu.caps().alignment;
    // A binding begins where it may.
    let word = |(_, at): (_, u64)| (at % alignment / 4) as u32;
    let at = gpu.buffers().buffer(Purpose::UNIFORM, 8, Some(bytemuck::bytes_of(&[word(from), word(to)])))?;
    let binding = |(buffer, at): (_, u64)| {
        let offset = at - at % alignment;
        BindingResource::Buffer(BufferBinding { buffer, offset, size: BufferSize::new(at - offset + 4) })
    };
    let entries = [binding(from), binding(to), at.as_entire_binding()];
    let entries: Vec<_> = (0..).zip(entries).map(|(binding, resource)| BindGroupEntry { binding, resource }).collect();
    let descriptor = BindGroupDescriptor { label: Some("half_word"), layout: &pipeline.layout, entries: &entries };
    let group = gpu.checked().call(during, |device| device.create_bind_group(&descriptor))?;
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(&pipeline.compute);
    pass.set_bind_group(0, &group, &[]);
    pass.dispatch_workgroups(1, 1, 1);
    Ok(())
}
