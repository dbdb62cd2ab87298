//! The buffers behind tensors and readbacks. Those that nobody uses any more are kept for the next of their size: a
//! fresh buffer costs an allocation, and wgpu fills it with zeros before its first use.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::browser::IN_BROWSER;
use crate::error::Error;

/// Why a buffer could not be made, where that is told after it was handed out.
pub(crate) type Failure = Arc<OnceLock<Error>>;

/// Whoever keeps bind groups of buffers, and with them their bytes.
pub(crate) trait BufferUser: Debug + wgpu::WasmNotSendSync {
    /// Drops what uses the memory of this id.
    fn forget(&self, id: u64);
}

/// A buffer that several steps share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub buffer: wgpu::Buffer,
    failure: Failure,
}

impl Shared {
    pub fn new(buffer: wgpu::Buffer, failure: Failure) -> Arc<Shared> {
        Arc::new(Shared { buffer, failure })
    }

    pub fn has_failed(&self) -> bool {
        self.failure.get().is_some()
    }
}

/// A buffer and its users.
#[derive(Debug)]
pub(crate) struct Memory {
    /// No other memory of this process has or had it.
    pub id: u64,
    pub buffer: wgpu::Buffer,
    pub failure: Failure,
    users: Mutex<Vec<Weak<dyn BufferUser>>>,
}

impl Memory {
    pub fn new(buffer: wgpu::Buffer, failure: Failure) -> Memory {
        static IDS: AtomicU64 = AtomicU64::new(0);
        Memory { id: IDS.fetch_add(1, Ordering::Relaxed), buffer, failure, users: Mutex::default() }
    }

    /// Frees the bytes, of a buffer that nobody can use any more. A browser would keep those of a dropped one until its
    /// collector comes by, which does not know how many they are.
    fn free(self) {
        if IN_BROWSER {
            self.buffer.destroy();
        }
    }

    /// `user` is told to forget this buffer when nobody else has it.
    pub fn add_user(&self, user: &Weak<dyn BufferUser>) {
        let mut users = lock(&self.users);
        if !users.iter().any(|known| known.ptr_eq(user)) {
            users.retain(|known| known.strong_count() > 0);
            users.push(user.clone());
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for user in lock(&self.users).iter().filter_map(Weak::upgrade) {
            user.forget(self.id);
        }
    }
}

/// Memory that nobody uses, to be used again. It holds at most as many bytes as were ever in use at once.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The one returned last is at the end.
    free: Vec<Memory>,
    in_use: u64,
    peak: u64,
}

impl Pool {
    /// Memory of exactly `size` bytes and any content.
    pub fn take(&self, size: u64) -> Option<Memory> {
        let mut state = lock(&self.state);
        let serves = |memory: &Memory| memory.buffer.size() == size && memory.failure.get().is_none();
        let place = state.free.iter().rposition(serves)?;
        let memory = state.free.remove(place);
        state.borrowed(size);
        Some(memory)
    }

    /// Memory that [`give`](Self::give) will see was made.
    pub fn made(&self, size: u64) {
        lock(&self.state).borrowed(size);
    }

    /// `keep` says that nobody else can still use it.
    pub fn give(&self, memory: Memory, keep: bool) {
        let mut state = lock(&self.state);
        state.in_use -= memory.buffer.size();
        let failed = memory.failure.get().is_some();
        if failed {
            // It never was.
            state.peak = state.in_use.max(state.peak - memory.buffer.size());
        }
        let (mut gone, mut used) = (vec![], None);
        if keep && !failed {
            state.free.push(memory);
            let mut bytes: u64 = state.free.iter().map(|memory| memory.buffer.size()).sum();
            while bytes > state.peak {
                let oldest = state.free.remove(0);
                bytes -= oldest.buffer.size();
                gone.push(oldest);
            }
        } else {
            used = Some(memory);
        }
        // What is dropped tells its users, who have locks of their own.
        drop(state);
        drop(used);
        gone.into_iter().for_each(Memory::free);
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        lock(&self.state).free.len()
    }

    /// Frees what nobody uses.
    pub fn empty(&self) {
        let mut state = lock(&self.state);
        state.peak = state.in_use;
        let gone = std::mem::take(&mut state.free);
        drop(state);
        gone.into_iter().for_each(Memory::free);
    }
}

impl State {
    fn borrowed(&mut self, size: u64) {
        self.in_use += size;
        self.peak = self.peak.max(self.in_use);
    }
}

/// A hold on memory. The last one gives it back.
#[derive(Debug)]
pub(crate) struct Lease {
    memory: Option<Memory>,
    /// Where the memory goes; nowhere if it is the app's.
    pool: Option<Arc<Pool>>,
    /// Nobody but this crate's submitted work can still use it.
    reusable: AtomicBool,
}

impl Lease {
    pub fn new(memory: Memory, pool: Option<Arc<Pool>>) -> Lease {
        Lease { memory: Some(memory), pool, reusable: AtomicBool::new(false) }
    }

    pub fn memory(&self) -> &Memory {
        self.memory.as_ref().expect("only drop takes it")
    }

    /// Whether the memory may go to somebody else after this hold: not while the app could have recorded work with it
    /// that it will submit later, nor while it is being mapped.
    pub fn set_reusable(&self, reusable: bool) {
        self.reusable.store(reusable, Ordering::Relaxed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let (Some(memory), Some(pool)) = (self.memory.take(), &self.pool) {
            pool.give(memory, *self.reusable.get_mut());
        }
    }
}

/// Whatever a thread that panicked has left is whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
