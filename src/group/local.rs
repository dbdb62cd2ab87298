//! Threads of one process, which meet in its memory.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::collective::Collective;
use crate::error::{Error, Result};

/// What all have given.
type Gathered = Arc<Vec<Vec<u8>>>;

/// Where the threads meet.
struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
    timeout: Duration,
}

struct State {
    given: Vec<Option<Vec<u8>>>,
    /// Of the last round, until all have taken it.
    gathered: Option<Gathered>,
    taken: usize,
    /// Somebody has left, or waited for too long: there are no more rounds.
    over: Option<String>,
}

/// One of the threads.
pub(super) struct Member {
    rank: usize,
    size: usize,
    meeting: Arc<Meeting>,
}

pub(super) fn members(size: usize, timeout: Duration) -> Vec<Member> {
    let state = State { given: vec![None; size], gathered: None, taken: 0, over: None };
    let meeting = Arc::new(Meeting { state: Mutex::new(state), changed: Condvar::new(), timeout });
    (0..size).map(|rank| Member { rank, size, meeting: meeting.clone() }).collect()
}

impl Meeting {
    /// Waits while `waits`; fails where that takes too long, or nobody comes any more.
    fn wait(&self, rank: usize, waits: impl Fn(&State) -> bool) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = |state: &mut State| state.over.is_none() && waits(state);
        let waited = self.changed.wait_timeout_while(state, self.timeout, goes_on);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !waits(&state) {
            return Ok(state);
        }
        let told = state.over.get_or_insert_with(|| format!("rank {rank} has waited for {:?}", self.timeout)).clone();
        self.changed.notify_all();
        Err(Error::group(told))
    }
}

impl Collective for Member {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        let meeting = &self.meeting;
        // Others may still have to take what the last round has gathered.
        let mut state = meeting.wait(self.rank, |state| state.gathered.is_some())?;
        if let Some(reason) = &state.over {
            return Err(Error::group(reason.clone()));
        }
        state.given[self.rank] = Some(own.to_vec());
        if state.given.iter().all(Option::is_some) {
            state.gathered = Some(Arc::new(state.given.iter_mut().filter_map(Option::take).collect()));
            meeting.changed.notify_all();
        }
        drop(state);
        let mut state = meeting.wait(self.rank, |state| state.gathered.is_none())?;
        let gathered = state.gathered.clone().unwrap_or_default();
        state.taken += 1;
        if state.taken == self.size {
            (state.gathered, state.taken) = (None, 0);
            meeting.changed.notify_all();
        }
        drop(state);
        Ok(gathered.to_vec())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.meeting.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.over.get_or_insert_with(|| format!("rank {} has left", self.rank));
        self.meeting.changed.notify_all();
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Local").field("rank", &self.rank).field("size", &self.size).finish()
    }
}
