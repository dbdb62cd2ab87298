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
    /// does. Waits for the device before the first await.
    pub async fn read<T>(
        &self,
        mut encoder: wgpu::CommandEncoder,
        parts: &[Part<'_>],
        during: &'static str,
        take: impl FnOnce(&[&[u8]]) -> T,
    ) -> Result<T> {
        self.device.check_alive(during)?;
        let lease = self.lease_readback(parts.iter().map(Part::padded).sum())?;
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
        match receiver.receive().await {
            Some(Ok(())) => {}
            _ => return Err(self.device.lost_error(during)),
        }
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
