//! What a group of processes has to be able to do.

use std::fmt::Debug;

use crate::error::Result;

/// How the processes that share a batch reach one another, seen from one of them. [`ProcessGroup`](crate::ProcessGroup) has those
/// that there are, and takes any other. Calls are collective: each process makes the same ones in the same order.
pub trait Collective: Debug + Send + Sync {
    /// The number of this process, from 0 to [`size`](Self::size) − 1.
    fn rank(&self) -> usize;

    /// How many processes there are.
    fn size(&self) -> usize;

    /// Gives every process what all have given, in the order of their ranks. It may be of another length on each.
    ///
    /// # Errors
    /// [`Error::group`](crate::Error::group) of what went wrong. It should not wait forever for a process that does not come.
    fn all_gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>>;
}
