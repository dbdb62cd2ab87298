//! Errors that are told after the call that made them. Natively wgpu tells them at once; a browser does when its GPU's
//! process has come to the call.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use super::memory::lock;
use crate::error::{Error, Result};

/// What becomes of a call: an error, or nothing.
pub(super) trait Verdict: Future<Output = Option<Error>> + wgpu::WasmNotSend {}

impl<F: Future<Output = Option<Error>> + wgpu::WasmNotSend> Verdict for F {}

/// Calls whose verdict is still to come, and the first error among those that came.
#[derive(Default)]
pub(super) struct Later {
    state: Mutex<State>,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct State {
    /// In the order of the calls, in which they are told.
    open: VecDeque<Pin<Box<dyn Verdict>>>,
    /// How many have come.
    heard: u64,
    /// The first that somebody who waits is to be told, by its number.
    error: Option<(u64, Error)>,
    /// What came before this one was told to somebody.
    told: u64,
}

/// All who wait, woken together: a future wakes only whom it was last polled by.
#[derive(Default)]
struct Waiting(Mutex<Vec<Waker>>);

impl Waiting {
    fn add(&self, waker: &Waker) {
        let mut wakers = lock(&self.0);
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        let wakers = std::mem::take(&mut *lock(&self.0));
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Later {
    pub fn add(&self, verdict: Pin<Box<dyn Verdict>>) {
        lock(&self.state).open.push_back(verdict);
        // What has come meanwhile is not kept: an app may call for long before it waits.
        self.hear();
    }

    /// Waits for the verdicts on all calls so far: the first error among them that nobody was told when this began. Others behind
    /// it, which it may have caused, are not told any more.
    pub async fn settled(&self) -> Result<()> {
        let (from, until) = {
            let state = lock(&self.state);
            (state.told, state.heard + state.open.len() as u64)
        };
        let heard = poll_fn(|context| {
            self.waiting.add(context.waker());
            if self.hear() < until { Poll::Pending } else { Poll::Ready(()) }
        });
        heard.await;
        let mut state = lock(&self.state);
        match &state.error {
            Some((number, error)) if (from..until).contains(number) => {
                let error = error.clone();
                state.told = state.heard;
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Takes in what has come: how many verdicts in all.
    fn hear(&self) -> u64 {
        let waker = Waker::from(self.waiting.clone());
        let mut state = lock(&self.state);
        let State { open, heard, error, told } = &mut *state;
        while let Some(Poll::Ready(verdict)) =
            open.front_mut().map(|first| first.as_mut().poll(&mut Context::from_waker(&waker)))
        {
            open.pop_front();
            if let Some(new) = verdict
                && error.as_ref().is_none_or(|(number, _)| number < told)
            {
                *error = Some((*heard, new));
            }
            *heard += 1;
        }
        *heard
    }
}

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Later").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_intrusive::channel::shared::{OneshotSender, oneshot_channel};
    use pollster::block_on;

    use super::*;

    fn failed(during: &'static str) -> Error {
        Error::OutOfMemory { during, bytes: None }
    }

    /// A call whose verdict is sent.
    fn call(later: &Later) -> OneshotSender<Option<Error>> {
        let (sender, receiver) = oneshot_channel();
        later.add(Box::pin(async move { receiver.receive().await.flatten() }));
        sender
    }

    #[test]
    fn the_first_error_is_told_once() {
        let later = Later::default();
        assert_eq!(block_on(later.settled()), Ok(()));
        for (during, other) in [("a", "b"), ("c", "d")] {
            let [first, second, third] = [(); 3].map(|()| call(&later));
            third.send(Some(failed(other))).unwrap();
            second.send(Some(failed(during))).unwrap();
            first.send(None).unwrap();
            assert_eq!(block_on(later.settled()), Err(failed(during)));
            assert_eq!(block_on(later.settled()), Ok(()));
        }
    }

    /// Whoever waited when it came, for all that was called before, and nothing that was called since.
    #[test]
    fn all_who_wait_are_told() {
        let later = Later::default();
        let sender = call(&later);
        std::thread::scope(|scope| {
            let (begun, waits) = std::sync::mpsc::channel();
            let (later, threads) = (&later, [(); 2].map(|()| begun.clone()));
            let waiting = threads.map(|begun| {
                scope.spawn(move || {
                    let mut settled = std::pin::pin!(later.settled());
                    block_on(poll_fn(|context| {
                        let polled = settled.as_mut().poll(context);
                        let _ = begun.send(());
                        polled
                    }))
                })
            });
            (0..2).for_each(|_| waits.recv().unwrap());
            let _open = call(later);
            sender.send(Some(failed("a"))).unwrap();
            assert_eq!(waiting.map(|thread| thread.join().unwrap()), [Err(failed("a")), Err(failed("a"))]);
        });
    }

    #[test]
    fn what_has_come_is_not_kept() {
        let later = Later::default();
        for _ in 0..10 {
            call(&later).send(None).unwrap();
        }
        let kept = lock(&later.state).open.len();
        assert!(kept <= 1, "{kept}");
    }
}
