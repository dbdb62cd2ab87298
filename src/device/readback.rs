//! Bytes from the GPU back to the program.

use super::buffers::Buffers;
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

impl Buffers {
    /// Submits `encoder` and gives `take` these buffers' first bytes as they are after it; `during` is what the caller
    /// does. Waits for the device before the first await. Of what was called before, and failed since, the first error.
    pub async fn read<T>(
        &self,
        mut encoder: wgpu::CommandEncoder,
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
        let staging = &lease.memory().buffer;
        let (sender, receiver) = futures_intrusive::channel::shared::oneshot_channel();
        self.device.call(during, |_| {
            let mut at = 0;
            for part in parts {
                encoder.copy_buffer_to_buffer(part.buffer, part.offset, staging, at, part.padded());
                at += part.padded();
            }
            encoder.map_buffer_on_submit(staging, wgpu::MapMode::Read, .., move |result| {
                let _ = sender.send(result);
            });
            self.device.queue.submit([encoder.finish()]);
        })?;
        if !self.device.wait() {
            return Err(self.device.lost_error(during));
        }
        let mapped = receiver.receive().await;
        self.settled().await?;
        let Some(Ok(())) = mapped else { return Err(self.device.lost_error(during)) };
        let Ok(mapped) = staging.get_mapped_range(..) else { return Err(self.device.lost_error(during)) };
        let mut rest = &mapped[..];
        let mut read = |part: &Part| {
            let (bytes, after) = rest.split_at(part.padded() as usize);
            rest = after;
            &bytes[..part.bytes as usize]
        };
        let taken = take(&parts.iter().map(&mut read).collect::<Vec<_>>());
        drop(mapped);
        staging.unmap();
        lease.set_reusable(true);
        Ok(taken)
    }
}
