//! What a layer has prepared for tensors that it has seen: to record a pass over them again, nothing is made anew.

use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::device::{BufferUser, Dispatch, Tensor, lock};
use crate::dtype::DType;
use crate::kernel::Binding;
use crate::plan::Pass;
use crate::spec::Mode;

/// Passes that a layer remembers, unless it is told otherwise. More than these in turn are prepared anew each.
const REMEMBERED: usize = 256;

/// A layer's passes by what they depend on.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    entries: Mutex<Entries>,
}

#[derive(Debug)]
struct Entries {
    /// What was used last is at the end.
    passes: Vec<(Key, Arc<[Dispatch]>)>,
    most: usize,
}

impl Default for Entries {
    fn default() -> Entries {
        Entries { passes: vec![], most: REMEMBERED }
    }
}

impl Entries {
    /// Forgets what was used longest ago.
    fn shrink(&mut self, most: usize) {
        self.passes.drain(..self.passes.len().saturating_sub(most));
    }
}

/// Which steps of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    /// All of them.
    Both,
    /// Those before processes exchange what they have found.
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "a browser has no processes"))]
    First,
    /// Those after it, where a channel has so many values in all processes.
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "a browser has no processes"))]
    Second { values: usize },
}

/// Everything that a pass of a layer depends on, the layer itself aside.
#[derive(Debug)]
struct Key {
    mode: Mode,
    pass: Pass,
    half: Half,
    tensors: Vec<Place>,
}

/// What is asked of which tensors.
type Call = (Mode, Pass, Half);

#[derive(Debug)]
struct Place {
    binding: Binding,
    dtype: DType,
    shape: Vec<usize>,
    strides: Vec<usize>,
    /// Memory and offset.
    place: (u64, u64),
}

impl Place {
    fn is(&self, (binding, tensor): (Binding, &Tensor)) -> bool {
        self.binding == binding
            && self.place == tensor.location()
            && self.strides == tensor.strides()
            && self.dtype == tensor.dtype()
            && self.shape == tensor.shape()
    }
}

impl Key {
    fn new<'a>((mode, pass, half): Call, tensors: impl Iterator<Item = (Binding, &'a Tensor)>) -> Key {
        let place = |(binding, tensor): (_, &Tensor)| Place {
            binding,
            dtype: tensor.dtype(),
            shape: tensor.shape().to_vec(),
            strides: tensor.strides().to_vec(),
            place: tensor.location(),
        };
        Key { mode, pass, half, tensors: tensors.map(place).collect() }
    }

    fn is<'a>(&self, call: Call, mut tensors: impl Iterator<Item = (Binding, &'a Tensor)>) -> bool {
        let same = self.tensors.iter().all(|place| tensors.next().is_some_and(|tensor| place.is(tensor)));
        same && tensors.next().is_none() && (self.mode, self.pass, self.half) == call
    }
}

impl Prepared {
    pub fn get<'a>(
        &self,
        call: Call,
        tensors: impl Iterator<Item = (Binding, &'a Tensor)> + Clone,
    ) -> Option<Arc<[Dispatch]>> {
        let passes = &mut self.entries().passes;
        let at = passes.iter().rposition(|(key, _)| key.is(call, tensors.clone()))?;
        if !passes[at].1.iter().all(Dispatch::can_run) {
            passes.remove(at);
            return None;
        }
        passes[at..].rotate_left(1);
        passes.last().map(|(_, dispatches)| dispatches.clone())
    }

    /// Remembers `dispatches` for as long as the memory of all tensors lives.
    pub fn put<'a>(
        self: &Arc<Self>,
        call: Call,
        tensors: impl Iterator<Item = (Binding, &'a Tensor)> + Clone,
        dispatches: Arc<[Dispatch]>,
    ) {
        let user: Weak<dyn BufferUser> = Arc::<Self>::downgrade(self);
        tensors.clone().for_each(|(_, tensor)| tensor.memory().add_user(&user));
        let mut entries = self.entries();
        let room = entries.most.saturating_sub(1);
        entries.shrink(room);
        if entries.most > 0 {
            entries.passes.push((Key::new(call, tensors), dispatches));
        }
    }

    /// Remembers so many from now on.
    pub fn set_most(&self, most: usize) {
        let mut entries = self.entries();
        entries.most = most;
        entries.shrink(most);
    }

    pub fn most(&self) -> usize {
        self.entries().most
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries().passes.len()
    }

    pub fn clear(&self) {
        self.entries().passes.clear();
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        lock(&self.entries)
    }
}

impl BufferUser for Prepared {
    fn forget(&self, id: u64) {
        self.entries().passes.retain(|(key, _)| key.tensors.iter().all(|tensor| tensor.place.0 != id));
    }
}
