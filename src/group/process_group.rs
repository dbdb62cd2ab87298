//! The handle of a group that layers take.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::collective::Collective;
use super::local;
use crate::error::{Error, Result};

/// Processes that share a batch, seen from one of them: [`GpuNorm::set_process_group`](crate::GpuNorm::set_process_group) has a layer
/// take its statistics of all of their shares. torch's `ProcessGroup`. Clones are the same group.
#[derive(Clone)]
pub struct ProcessGroup {
    inner: Arc<Inner>,
}

struct Inner {
    collective: Box<dyn Collective>,
    /// Layers that have been given this group: each process gives it to the same ones in the same order.
    layers: AtomicU64,
}

impl ProcessGroup {
    /// A group whose processes reach one another by this.
    pub fn new(collective: impl Collective + 'static) -> ProcessGroup {
        ProcessGroup { inner: Arc::new(Inner { collective: Box::new(collective), layers: AtomicU64::new(0) }) }
    }

    /// A group of `size` threads of this process, such as one for each of its GPUs, by rank: each takes one. A thread that waits
    /// longer than `timeout` for another one, or for one that has dropped its group, gets [`Error::Group`].
    pub fn local(size: usize, timeout: Duration) -> Vec<ProcessGroup> {
        local::members(size, timeout).into_iter().map(ProcessGroup::new).collect()
    }

    /// The number of this process.
    pub fn rank(&self) -> usize {
        self.inner.collective.rank()
    }

    /// How many processes there are.
    pub fn size(&self) -> usize {
        self.inner.collective.size()
    }

    /// As [`Collective::all_gather`], for what the app itself wants to tell the others. Collective, as all exchanges of layers are.
    ///
    /// # Errors
    /// [`Error::Group`].
    pub fn all_gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        let all = self.inner.collective.all_gather(own)?;
        let (size, found) = (self.size(), all.len());
        if found == size { Ok(all) } else { Err(Error::group(format!("{found} of {size} processes were gathered"))) }
    }

    /// The number of the next layer.
    pub(crate) fn next_layer(&self) -> u64 {
        self.inner.layers.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is(&self, other: &ProcessGroup) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl fmt::Debug for ProcessGroup {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_tuple("ProcessGroup").field(&self.inner.collective).finish()
    }
}
