//! Bytes from the GPU back to the program.

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

use super::buffers::Buffers;
use super::memory::Lease;
use crate::error::Result;

/// Bytes of a buffer to read back.
pub(crate) struct Part<'a> {
    pub buffer: &'a wgpu::Buffer,
    pub offset: u64,
    pub bytes: u64,
}

impl Part<'_> {
    /// Copies are of whole words.
    fn padded(&self) -> u64 {
        self.bytes.next_multiple_of(4)
    }
}

/// Bytes that are on their way.
pub(crate) struct Reading {
    lease: Lease,
    /// Of each part, padded and not.
    lengths: Vec<[usize; 2]>,
    mapped: OneshotReceiver<Result<(), wgpu::BufferAsyncError>>,
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "a browser waits for all"))]
    submission: wgpu::SubmissionIndex,
    during: &'static str,
}

impl Buffers {
    /// Submits `encoder` and gives `take` these buffers' first bytes as they are after it; `during` is what the caller
    /// does. Waits for the device before the first await. Of what was called before, and failed since, the first error.
    pub async fn read<T>(
        &self,
        encoder: wgpu::CommandEncoder,
        parts: &[Part<'_>],
        during: &'static str,
        take: impl FnOnce(&[&[u8]]) -> T,
    ) -> Result<T> {
        self.device.check_alive(during)?;
        let bytes = parts.iter().map(Part::padded).sum();
        let mut lease = self.lease_readback(bytes)?;
        // A browser tells later that it has no memory for it, but before this is submitted: with the cache emptied, there may be.
        match (self.settled().await, lease.memory().failure.get()) {
            (Err(error), Some(failure)) if error == *failure => lease = self.lease_readback(bytes)?,
            (settled, _) => settled?,
        }
        let reading = self.submit_reading(lease, encoder, parts, during)?;
        if !self.device.wait() {
            return Err(self.device.lost_error(during));
        }
        self.read_mapped(reading, take).await
    }

    /// The same in two parts: what is submitted after this one, the second does not wait for.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn begin_read(&self, encoder: wgpu::CommandEncoder, part: Part, during: &'static str) -> Result<Reading> {
        self.device.check_alive(during)?;
        let lease = self.lease_readback(part.padded())?;
        self.submit_reading(lease, encoder, &[part], during)
    }

    /// Waits for what was begun.
    #[cfg(not(target_arch = "wasm32"))]
    pub async fn end_read(&self, reading: Reading) -> Result<Vec<u8>> {
        if !self.device.wait_for(reading.submission.clone()) {
            return Err(self.device.lost_error(reading.during));
        }
        self.read_mapped(reading, |parts| parts.concat()).await
    }

    fn submit_reading(
        &self,
        lease: Lease,
        mut encoder: wgpu::CommandEncoder,
        parts: &[Part<'_>],
        during: &'static str,
    ) -> Result<Reading> {
        let staging = &lease.memory().buffer;
        let (sender, mapped) = oneshot_channel();
        let submission = self.device.call(during, |_| {
            let mut at = 0;
            for part in parts {
                encoder.copy_buffer_to_buffer(part.buffer, part.offset, staging, at, part.padded());
                at += part.padded();
            }
            encoder.map_buffer_on_submit(staging, wgpu::MapMode::Read, .., move |result| {
                let _ = sender.send(result);
            });
            self.device.queue.submit([encoder.finish()])
        })?;
        let lengths = parts.iter().map(|part| [part.padded() as usize, part.bytes as usize]).collect();
        Ok(Reading { lease, lengths, mapped, submission, during })
    }

    async fn read_mapped<T>(&self, reading: Reading, take: impl FnOnce(&[&[u8]]) -> T) -> Result<T> {
        let Reading { lease, lengths, mapped, during, .. } = reading;
        let mapped = mapped.receive().await;
        self.settled().await?;
        let staging = &lease.memory().buffer;
        let Some(Ok(())) = mapped else { return Err(self.device.lost_error(during)) };
        let Ok(mapped) = staging.get_mapped_range(..) else { return Err(self.device.lost_error(during)) };
        let mut rest = &mapped[..];
        let read = |[padded, bytes]: [usize; 2]| {
            let (part, after) = rest.split_at(padded);
            rest = after;
            &part[..bytes]
        };
        let taken = take(&lengths.into_iter().map(read).collect::<Vec<_>>());
        drop(mapped);
        staging.unmap();
        lease.set_reusable(true);
        Ok(taken)
    }
}
