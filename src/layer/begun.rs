//! What has been begun, and is finished with what other processes tell.

use pollster::block_on;

use super::exchange::{Message, Told, agreed, encode};
use crate::device::{Gpu, Reading};
use crate::error::{Error, Result};
use crate::group::ProcessGroup;

/// A forward or a backward whose first half has been submitted, on the GPU while the program goes on. [`finish`](Self::finish)
/// exchanges what it has found with the other processes and submits the second half. Without a group, or with nothing to
/// exchange, all of it has been submitted. What it reads must not be written before it is finished.
///
/// What goes wrong before the exchange is told by `finish`, so that the other processes are told too.
#[must_use = "the other processes wait for it to be finished"]
pub struct Begun<'a, T> {
    group: Option<ProcessGroup>,
    state: Result<State<'a, T>>,
}

pub(super) enum State<'a, T> {
    Done(T),
    Exchanges(Box<Pending<'a, T>>),
}

/// The second half, from what was read of the first, and from what all have told.
type Second<'a, T> = Box<dyn FnOnce(Vec<u8>, Vec<Told>) -> Result<T> + Send + 'a>;

pub(super) struct Pending<'a, T> {
    pub(super) gpu: Gpu,
    pub(super) told: Told,
    pub(super) reading: Option<Reading>,
    /// What of the bytes that were read is told.
    pub(super) pack: fn(&[u8]) -> Vec<u8>,
    pub(super) second: Second<'a, T>,
}

impl<'a, T> Begun<'a, T> {
    pub(super) fn done(result: Result<T>) -> Begun<'a, T> {
        Begun { group: None, state: result.map(State::Done) }
    }

    pub(super) fn of(group: &ProcessGroup, pending: Result<Pending<'a, T>>) -> Begun<'a, T> {
        Begun { group: Some(group.clone()), state: pending.map(|pending| State::Exchanges(Box::new(pending))) }
    }

    /// Waits for the first half, exchanges and submits the second. Collective: every process of the group finishes its own.
    ///
    /// # Errors
    /// Those of the call that it is the second half of; [`Error::RanksDiffer`] where the processes do not make the same call,
    /// [`Error::OtherRank`] where it has failed on another one, [`Error::Group`]. Then nothing has changed, on any.
    pub fn finish(self) -> Result<T> {
        let mut finished = Begun::finish_all([self])?;
        finished.pop().ok_or_else(|| Error::group("nothing was begun"))
    }

    /// The same of several layers at once, in one exchange: those whose halves do not need one another, such as of branches of a
    /// network.
    ///
    /// # Errors
    /// As [`finish`](Self::finish), of any of them.
    pub fn finish_all(begun: impl IntoIterator<Item = Begun<'a, T>>) -> Result<Vec<T>> {
        let begun: Vec<Begun<T>> = begun.into_iter().collect();
        let Some(group) = begun.iter().find_map(|begun| begun.group.clone()) else {
            let done = |begun: Begun<T>| match begun.state? {
                State::Done(value) => Ok(value),
                State::Exchanges(_) => Err(Error::group("a layer that exchanges has no group")),
            };
            return begun.into_iter().map(done).collect();
        };
        if begun.iter().filter_map(|begun| begun.group.as_ref()).any(|other| !other.is(&group)) {
            return Err(Error::group("layers that share an exchange have to be of one group"));
        }
        let states: Vec<Result<(State<T>, Vec<u8>)>> = begun.into_iter().map(|begun| begun.state?.read()).collect();
        let messages = states.iter().filter_map(|state| match state {
            Ok((State::Done(_), _)) => None,
            Ok((State::Exchanges(pending), read)) => Some(Ok(pending.told(read))),
            Err(error) => Some(Err(error.to_string())),
        });
        let gathered = group.all_gather(&encode(&messages.collect::<Vec<Message>>()))?;
        let states = states.into_iter().collect::<Result<Vec<_>>>()?;
        let mut told = agreed(&gathered)?.into_iter();
        let finish = |(state, read)| match state {
            State::Done(value) => Ok(value),
            State::Exchanges(pending) => (pending.second)(read, told.next().unwrap_or_default()),
        };
        states.into_iter().map(finish).collect()
    }
}

impl<T> State<'_, T> {
    /// With what is read back of the first half.
    fn read(mut self) -> Result<(Self, Vec<u8>)> {
        let read = match &mut self {
            State::Exchanges(pending) => match pending.reading.take() {
                Some(reading) => block_on(pending.gpu.buffers().end_read(reading))?,
                None => vec![],
            },
            State::Done(_) => vec![],
        };
        Ok((self, read))
    }
}

impl<T> Pending<'_, T> {
    fn told(&self, read: &[u8]) -> Told {
        let mut told = self.told.clone();
        told.found = (self.pack)(read);
        told
    }
}
