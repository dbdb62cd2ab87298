//! How long work takes: on the GPU's own clock and on the wall.

use std::error::Error;
use std::time::{Duration, Instant};

use gpunorm::{Gpu, Tensor};
use wgpu::{CommandEncoder, PollType};

use super::copy::{Copies, Copy};

/// Times work on a GPU.
pub struct Clock {
    gpu: Gpu,
    timestamps: Option<(wgpu::QuerySet, wgpu::Buffer, wgpu::Buffer)>,
}

pub type Work<'a> = &'a dyn Fn(&mut CommandEncoder) -> Result<(), gpunorm::Error>;

impl Clock {
    pub fn new(gpu: &Gpu) -> Clock {
        let device = gpu.device();
        let timestamps = device.features().contains(wgpu::Features::TIMESTAMP_QUERY).then(|| {
            let descriptor = wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count: 4 };
            let buffer = |usage| {
                device.create_buffer(&wgpu::BufferDescriptor {
                    label: None,
                    size: 32,
                    usage,
                    mapped_at_creation: false,
                })
            };
            let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
            let read = buffer(wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ);
            (device.create_query_set(&descriptor), resolved, read)
        });
        Clock { gpu: gpu.clone(), timestamps }
    }

    /// From recording to the end of the wait.
    pub fn wall(&self, work: Work) -> Result<Duration, Box<dyn Error>> {
        let start = Instant::now();
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        work(&mut encoder)?;
        self.gpu.queue().submit([encoder.finish()]);
        self.gpu.device().poll(PollType::wait_indefinitely())?;
        Ok(start.elapsed())
    }

    /// On the GPU's clock, from before the first dispatch to after the last; on the wall where it has none.
    pub fn gpu(&self, work: Work) -> Result<Duration, Box<dyn Error>> {
        let Some((queries, resolved, read)) = &self.timestamps else { return self.wall(work) };
        // Passes of nothing carry the timestamps.
        let mark = |encoder: &mut CommandEncoder, first: u32| {
            let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
                query_set: queries,
                beginning_of_pass_write_index: Some(first),
                end_of_pass_write_index: Some(first + 1),
            });
            drop(encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes }));
        };
        self.wall(&|encoder| {
            mark(encoder, 0);
            work(encoder)?;
            mark(encoder, 2);
            encoder.resolve_query_set(queries, 0..4, resolved, 0);
            encoder.copy_buffer_to_buffer(resolved, 0, read, 0, 32);
            Ok(())
        })?;
        read.map_async(wgpu::MapMode::Read, .., |_| {});
        self.gpu.device().poll(PollType::wait_indefinitely())?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&read.get_mapped_range(..)?);
        read.unmap();
        let period = f64::from(self.gpu.queue().get_timestamp_period());
        Ok(Duration::from_nanos((ticks[2].saturating_sub(ticks[1]) as f64 * period) as u64))
    }

    /// The one that copies these tensors in the least time, of three tries each.
    pub fn fastest<'a>(&self, copies: &'a Copies, pairs: &[(Tensor, Tensor)]) -> Result<&'a Copy, Box<dyn Error>> {
        let mut best: Option<(Duration, &Copy)> = None;
        for copy in copies.iter() {
            for _ in 0..3 {
                let time = self.gpu(&|encoder| {
                    pairs.iter().for_each(|(x, y)| copy.record(&self.gpu, encoder, x, y));
                    Ok(())
                })?;
                if best.is_none_or(|(least, _)| time < least) {
                    best = Some((time, copy));
                }
            }
        }
        best.map(|(_, copy)| copy).ok_or_else(|| "no copies".into())
    }
}
