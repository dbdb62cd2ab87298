//! How long work takes on this GPU.

use gpunorm::{DType, Gpu, Tensor};
use wasm_bindgen::prelude::*;
use wgpu::{CommandEncoder, Features};

#[wasm_bindgen]
extern "C" {
    /// The browser's clock, in milliseconds.
    #[wasm_bindgen(js_namespace = performance)]
    fn now() -> f64;
}

/// Browsers round the GPU's timestamps to 0.1 ms, and their own clock to as much: what is timed has to take so many
/// milliseconds at least.
const LEAST_MS: f64 = 20.0;
/// Without timestamps, what submitting and waiting take has to be little beside it.
const LEAST_MS_ON_THE_WALL: f64 = 60.0;
const MOST_TIMES: u32 = 500;

pub type Work<'a> = &'a dyn Fn(&mut CommandEncoder) -> gpunorm::Result<()>;

pub struct Clock {
    gpu: Gpu,
    timestamps: Option<Timestamps>,
    /// What is read back to wait for work: four timestamps of 64 bits where there are any, as if they were floats.
    read: Tensor,
}

struct Timestamps {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
}

impl Clock {
    pub fn new(gpu: &Gpu) -> gpunorm::Result<Clock> {
        let device = gpu.device();
        let timestamps = device.features().contains(Features::TIMESTAMP_QUERY).then(|| Timestamps {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count: 4,
            }),
            resolved: device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: 32,
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            }),
        });
        Ok(Clock { gpu: gpu.clone(), timestamps, read: Tensor::zeros(gpu, &[8], DType::F32)? })
    }

    /// Milliseconds of one time, and how often the work has to be done for the clock to see it.
    pub async fn calibrate(&self, work: Work<'_>) -> gpunorm::Result<(f64, u32)> {
        let least = if self.timestamps.is_some() { LEAST_MS } else { LEAST_MS_ON_THE_WALL };
        let mut times = 1;
        loop {
            let one = self.time(work, times).await?;
            let all = one * f64::from(times);
            if all >= 0.8 * least || times == MOST_TIMES {
                return Ok((one, times));
            }
            times = (f64::from(times) * (least / all).clamp(2.0, 50.0)).min(f64::from(MOST_TIMES)) as u32;
        }
    }

    /// Milliseconds of one of so many times.
    pub async fn time(&self, work: Work<'_>, times: u32) -> gpunorm::Result<f64> {
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        self.mark(&mut encoder, 0);
        for _ in 0..times {
            work(&mut encoder)?;
        }
        self.mark(&mut encoder, 2);
        if let Some(Timestamps { queries, resolved }) = &self.timestamps {
            encoder.resolve_query_set(queries, 0..4, resolved, 0);
            encoder.copy_buffer_to_buffer(resolved, 0, self.read.buffer(), self.read.offset(), 32);
        }
        let commands = encoder.finish();
        let start = now();
        self.gpu.queue().submit([commands]);
        let words = self.read.read_as::<f32>().await?;
        let on_the_wall = now() - start;
        let ticks = |at: usize| u64::from(words[2 * at].to_bits()) | u64::from(words[2 * at + 1].to_bits()) << 32;
        let all = match &self.timestamps {
            Some(_) => {
                ticks(2).saturating_sub(ticks(1)) as f64 * f64::from(self.gpu.queue().get_timestamp_period()) / 1e6
            }
            None => on_the_wall,
        };
        Ok(all / f64::from(times))
    }

    /// A pass of nothing that carries two timestamps.
    fn mark(&self, encoder: &mut CommandEncoder, first: u32) {
        let timestamp_writes =
            self.timestamps.as_ref().map(|Timestamps { queries, .. }| wgpu::ComputePassTimestampWrites {
                query_set: queries,
                beginning_of_pass_write_index: Some(first),
                end_of_pass_write_index: Some(first + 1),
            });
        drop(encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes }));
    }
}
