//! The processes of an MPI communicator.

use std::fmt::{self, Display};
use std::mem::ManuallyDrop;
use std::thread;
use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::datatype::PartitionMut;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};
use send_wrapper::SendWrapper;

use super::collective::Collective;
use super::process_group::ProcessGroup;
use crate::error::{Error, Result};

/// One of the processes. MPI is its thread's who made it, which is what MPI_THREAD_FUNNELED grants. The communicator is kept until MPI
/// ends: all processes would have to free it at once.
struct Mpi {
    communicator: SendWrapper<ManuallyDrop<SimpleCommunicator>>,
    rank: usize,
    size: usize,
    timeout: Duration,
}

impl ProcessGroup {
    /// The processes of an MPI communicator, which is duplicated (collective), so that nothing comes between. Whoever waits longer
    /// than `timeout` for another process to come ends all of them, by `MPI_Abort` and with a message, as does one that panics while
    /// it has a group. Of the feature `mpi`.
    ///
    /// Layers are called on the thread that makes the group, where MPI has been started by
    /// `mpi::initialize_with_threading(Threading::Funneled)`: GPUs' drivers have threads of their own. With
    /// `communicator.split_shared(0)` or `split_by_color`, layers share a batch with some of the processes only, such as a node's.
    ///
    /// # Errors
    /// [`Error::Group`] where MPI was started for a program of a single thread.
    pub fn mpi(communicator: &impl Communicator, timeout: Duration) -> Result<ProcessGroup> {
        if mpi::environment::threading_support() == Threading::Single {
            return Err(Error::group(
                "MPI was started for a single thread, and a GPU's driver has others: \
                 mpi::initialize_with_threading(Threading::Funneled)",
            ));
        }
        let own = communicator.duplicate();
        let (rank, size) = (own.rank() as usize, own.size() as usize);
        let communicator = SendWrapper::new(ManuallyDrop::new(own));
        Ok(ProcessGroup::new(Mpi { communicator, rank, size, timeout }))
    }
}

/// What came of a process's work; an error ends all processes, by `MPI_Abort` and with a message: the others might wait for this one
/// forever. Of the feature `mpi`.
pub fn or_abort<T>(communicator: &impl Communicator, result: Result<T, impl Display>) -> T {
    result.unwrap_or_else(|error| abort(communicator, communicator.rank() as usize, &error.to_string()))
}

fn abort(communicator: &impl Communicator, rank: usize, reason: &str) -> ! {
    eprintln!("rank {rank} ends all processes: {reason}");
    communicator.abort(1)
}

impl Mpi {
    fn communicator(&self) -> Option<&SimpleCommunicator> {
        self.communicator.valid().then(|| &**self.communicator)
    }
}

impl Collective for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        let other_thread = || Error::group("MPI is the thread's who made the group");
        let communicator = self.communicator().ok_or_else(other_thread)?;
        // Who does not come is missed here; then all are there.
        let length = own.len() as u64;
        let mut lengths = vec![0u64; self.size];
        mpi::request::scope(|scope| {
            let mut request = communicator.immediate_all_gather_into(scope, &length, &mut lengths[..]);
            let start = Instant::now();
            while let Err(unfinished) = request.test() {
                request = unfinished;
                if start.elapsed() > self.timeout {
                    let reason = format!("it has waited for {:?}, and not all have come", self.timeout);
                    abort(communicator, self.rank, &reason);
                }
                thread::yield_now();
            }
        });
        let total: u64 = lengths.iter().sum();
        if i32::try_from(total).is_err() {
            return Err(Error::group(format!("{total} bytes are more than MPI gathers at once")));
        }
        let counts: Vec<i32> = lengths.iter().map(|&length| length as i32).collect();
        let starts: Vec<i32> = counts.iter().scan(0, |end, count| Some(std::mem::replace(end, *end + count))).collect();
        // An empty slice of bytes lies at 1, which Open MPI takes for MPI_IN_PLACE.
        let (sent, mut all) = ([own, &[0]].concat(), vec![0; total as usize + 1]);
        let (sent, all) = (&sent[..own.len()], &mut all[..total as usize]);
        communicator.all_gather_varcount_into(sent, &mut PartitionMut::new(&mut all[..], &counts[..], &starts[..]));
        let mut rest = &all[..];
        let parts = lengths.iter().map(|&length| {
            let (part, after) = rest.split_at(length as usize);
            rest = after;
            part.to_vec()
        });
        Ok(parts.collect())
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        if let Some(communicator) = self.communicator().filter(|_| thread::panicking()) {
            abort(communicator, self.rank, "it has panicked");
        }
    }
}

impl fmt::Debug for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Mpi").field("rank", &self.rank).field("size", &self.size).finish()
    }
}
