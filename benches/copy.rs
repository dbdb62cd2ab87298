//! Copy kernels, the fastest of which is the yardstick.

use std::error::Error;
use std::time::{Duration, Instant};

use gpunorm::{Gpu, Tensor};
use wgpu::util::DeviceExt;

struct Copy {
    pipeline: wgpu::ComputePipeline,
    workgroup: u32,
    units: u32,
}

/// A few shapes of the same copy.
pub struct Copies {
    gpu: Gpu,
    copies: Vec<Copy>,
    queries: Option<(wgpu::QuerySet, wgpu::Buffer, wgpu::Buffer)>,
}

impl Copies {
    pub fn new(gpu: &Gpu) -> Result<Copies, Box<dyn Error>> {
        let device = gpu.device();
        let module = device.create_shader_module(wgpu::include_wgsl!("copy.wgsl"));
        let shapes =
            [(64, 1, false), (256, 1, false), (256, 4, false), (64, 16, false), (64, 16, true), (64, 64, true)];
        let copies = shapes
            .into_iter()
            .map(|(workgroup, units, together)| {
                let constants = [
                    ("WORKGROUP", f64::from(workgroup)),
                    ("UNITS", f64::from(units)),
                    ("TOGETHER", f64::from(u8::from(together))),
                ];
                let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                    label: Some("copy"),
                    layout: None,
                    module: &module,
                    entry_point: None,
                    compilation_options: wgpu::PipelineCompilationOptions {
                        constants: &constants,
                        ..Default::default()
                    },
                    cache: None,
                });
                Copy { pipeline, workgroup, units }
            })
            .collect();
        let queries = device.features().contains(wgpu::Features::TIMESTAMP_QUERY).then(|| {
            let descriptor = wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count: 2 };
            let resolve = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
            let read = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
            let buffer = |usage| {
                device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: None, contents: &[0; 16], usage })
            };
            (device.create_query_set(&descriptor), buffer(resolve), buffer(read))
        });
        Ok(Copies { gpu: gpu.clone(), copies, queries })
    }

    /// The least time that any of them takes to copy `x` to `y`.
    pub fn best(&self, x: &Tensor, y: &Tensor) -> Result<Duration, Box<dyn Error>> {
        let times = self.copies.iter().map(|copy| self.time(copy, x, y)).collect::<Result<Vec<_>, _>>()?;
        times.into_iter().min().ok_or_else(|| "no copies".into())
    }

    fn time(&self, copy: &Copy, x: &Tensor, y: &Tensor) -> Result<Duration, Box<dyn Error>> {
        let device = self.gpu.device();
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &copy.pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: x.buffer().as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: y.buffer().as_entire_binding() },
            ],
        });
        let workgroups = (x.buffer().size() / 16).div_ceil(u64::from(copy.workgroup * copy.units)) as u32;
        let rows = workgroups.div_ceil(65_535);
        let start = Instant::now();
        let mut encoder = device.create_command_encoder(&Default::default());
        let timestamp_writes = self.queries.as_ref().map(|(queries, ..)| wgpu::ComputePassTimestampWrites {
            query_set: queries,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        });
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
        pass.set_pipeline(&copy.pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(workgroups.div_ceil(rows), rows, 1);
        drop(pass);
        if let Some((queries, resolved, read)) = &self.queries {
            encoder.resolve_query_set(queries, 0..2, resolved, 0);
            encoder.copy_buffer_to_buffer(resolved, 0, read, 0, 16);
        }
        self.gpu.queue().submit([encoder.finish()]);
        device.poll(wgpu::PollType::wait_indefinitely())?;
        let wall = start.elapsed();
        let Some((_, _, read)) = &self.queries else { return Ok(wall) };
        read.map_async(wgpu::MapMode::Read, .., |_| {});
        device.poll(wgpu::PollType::wait_indefinitely())?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&read.get_mapped_range(..)?);
        read.unmap();
        let period = f64::from(self.gpu.queue().get_timestamp_period());
        Ok(Duration::from_nanos((ticks[1].saturating_sub(ticks[0]) as f64 * period) as u64))
    }
}
