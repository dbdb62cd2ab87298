//! How long each step of a forward takes on the GPU's own clock.

use std::time::Duration;

use wgpu::{ComputePassTimestampWrites, Features, QuerySetDescriptor, QueryType};

use super::buffers::Purpose;
use super::gpu::Gpu;
use super::readback::Part;
use crate::error::Result;

/// What errors say is done.
pub(crate) const PROFILING: &str = "profiling";

/// A pair of timestamps per step.
pub(crate) struct Timestamps {
    queries: wgpu::QuerySet,
    count: u32,
}

impl Timestamps {
    /// Nothing where the device cannot take timestamps.
    pub fn new(gpu: &Gpu, steps: usize) -> Result<Option<Timestamps>> {
        let count = 2 * steps as u32;
        let able = gpu.device().features().contains(Features::TIMESTAMP_QUERY) && (2..=4096).contains(&count);
        let descriptor = QuerySetDescriptor { label: Some("gpunorm profile"), ty: QueryType::Timestamp, count };
        if !able {
            return Ok(None);
        }
        let queries = gpu.checked().call(PROFILING, |device| device.create_query_set(&descriptor))?;
        Ok(Some(Timestamps { queries, count }))
    }

    pub fn writes(&self, step: usize) -> ComputePassTimestampWrites<'_> {
        let begin = 2 * step as u32;
        ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(begin),
            end_of_pass_write_index: Some(begin + 1),
        }
    }

    /// Submits `encoder` and reads the time of each step.
    pub async fn finish(self, gpu: &Gpu, mut encoder: wgpu::CommandEncoder) -> Result<Vec<Duration>> {
        let bytes = 8 * u64::from(self.count);
        let resolved = gpu.buffers().buffer(Purpose::PROFILE, bytes, None)?;
        encoder.resolve_query_set(&self.queries, 0..self.count, &resolved, 0);
        let parts = [Part { buffer: &resolved, offset: 0, bytes }];
        let read = gpu.buffers().read(encoder, &parts, PROFILING, |parts| bytemuck::pod_collect_to_vec(parts[0]));
        let ticks: Vec<u64> = read.await?;
        let period = f64::from(gpu.queue().get_timestamp_period());
        let time = |pair: &[u64]| Duration::from_nanos((pair[1].saturating_sub(pair[0]) as f64 * period) as u64);
        Ok(ticks.chunks_exact(2).map(time).collect())
    }
}
