//! Processes that share a batch: what they have to be able to do (`collective`), the handle that layers take, and the groups that
//! there are: of threads in one process, and of MPI.

mod collective;
mod local;
#[cfg(feature = "mpi")]
mod mpi;
mod process_group;

pub use collective::Collective;
#[cfg(feature = "mpi")]
pub use mpi::or_abort;
pub use process_group::ProcessGroup;
