//! The app's buffers that tensors wrap: one memory for each, also for a buffer that is wrapped anew every frame.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};

use super::memory::Lease;

/// Wraps after which a buffer that was not wrapped again is let go of.
const WRAPS: u64 = 64;

/// Buffers that were wrapped lately. One that is wrapped again is kept from then on, for the next wrap to find it.
#[derive(Debug, Default)]
pub(super) struct Wrapped {
    entries: Vec<Entry>,
    wraps: u64,
}

#[derive(Debug)]
struct Entry {
    /// Of a buffer that nobody may have any more.
    hash: u64,
    lease: Weak<Lease>,
    kept: Option<Arc<Lease>>,
    last: u64,
}

impl Wrapped {
    /// What `buffer` was wrapped in before, if that is still there; and what has become too old.
    pub fn find(&mut self, buffer: &wgpu::Buffer) -> (Option<Arc<Lease>>, Vec<Arc<Lease>>) {
        self.wraps += 1;
        let mut old = vec![];
        for entry in self.entries.iter_mut().filter(|entry| entry.last + WRAPS < self.wraps) {
            old.extend(entry.kept.take());
        }
        let (wraps, hash) = (self.wraps, hash(buffer));
        self.entries.retain(|entry| entry.last + WRAPS >= wraps || entry.lease.strong_count() > 0);
        let found = self.entries.iter_mut().filter(|entry| entry.hash == hash).find_map(|entry| {
            let lease = entry.lease.upgrade().filter(|lease| lease.memory().buffer == *buffer)?;
            (entry.kept, entry.last) = (Some(lease.clone()), wraps);
            Some(lease)
        });
        (found, old)
    }

    /// Remembers what `buffer` is wrapped in.
    pub fn put(&mut self, lease: &Arc<Lease>) {
        let hash = hash(&lease.memory().buffer);
        let again = self.entries.iter().any(|entry| entry.hash == hash);
        self.entries.retain(|entry| entry.hash != hash || entry.lease.strong_count() > 0);
        let kept = again.then(|| lease.clone());
        self.entries.push(Entry { hash, lease: Arc::downgrade(lease), kept, last: self.wraps });
    }

    /// Lets go of all that no tensor has.
    pub fn empty(&mut self) -> Vec<Arc<Lease>> {
        self.entries.iter_mut().filter_map(|entry| entry.kept.take()).collect()
    }
}

/// Two buffers of the same are told apart by comparing them.
fn hash(buffer: &wgpu::Buffer) -> u64 {
    let mut hasher = DefaultHasher::new();
    buffer.hash(&mut hasher);
    hasher.finish()
}
