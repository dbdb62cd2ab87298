//! What a layer has prepared for tensors that it has seen: to record a pass over them again, nothing is made anew.

use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::device::{BufferUser, Pipeline, Tensor, lock};
use crate::dtype::DType;
use crate::plan::Pass;
use crate::spec::Mode;

/// Passes that a layer remembers. More than these in turn are prepared anew each.
const REMEMBERED: usize = 256;

/// A dispatch, ready to be recorded.
#[derive(Debug)]
pub(crate) struct Dispatch {
    pub name: &'static str,
    pub pipeline: Arc<Pipeline>,
    pub group: wgpu::BindGroup,
    pub workgroups: [u32; 2],
    /// What of the GPU's own the group binds, which is in use as long as this can be recorded.
    pub _held: Vec<Arc<wgpu::Buffer>>,
}

/// A layer's passes by what they depend on.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    entries: Mutex<Vec<(Key, Arc<[Dispatch]>)>>,
}

/// Everything that a pass of a layer depends on, the layer itself aside.
#[derive(Debug)]
struct Key {
    mode: Mode,
    pass: Pass,
    tensors: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    dtype: DType,
    shape: Vec<usize>,
    /// Memory and offset.
    place: (u64, u64),
}

impl Place {
    fn is(&self, tensor: &Tensor) -> bool {
        self.place == tensor.location() && self.dtype == tensor.dtype() && self.shape == tensor.shape()
    }
}

impl Key {
    fn new<'a>(mode: Mode, pass: Pass, tensors: impl Iterator<Item = &'a Tensor>) -> Key {
        let place =
            |tensor: &Tensor| Place { dtype: tensor.dtype(), shape: tensor.shape().to_vec(), place: tensor.location() };
        Key { mode, pass, tensors: tensors.map(place).collect() }
    }

    fn is<'a>(&self, mode: Mode, pass: Pass, mut tensors: impl Iterator<Item = &'a Tensor>) -> bool {
        let same = self.tensors.iter().all(|place| tensors.next().is_some_and(|tensor| place.is(tensor)));
        same && tensors.next().is_none() && self.mode == mode && self.pass == pass
    }
}

impl Prepared {
    pub fn get<'a>(
        &self,
        mode: Mode,
        pass: Pass,
        tensors: impl Iterator<Item = &'a Tensor> + Clone,
    ) -> Option<Arc<[Dispatch]>> {
        let entries = self.entries();
        entries.iter().find(|(key, _)| key.is(mode, pass, tensors.clone())).map(|(_, dispatches)| dispatches.clone())
    }

    /// Remembers `dispatches` for as long as the memory of all tensors lives.
    pub fn put<'a>(
        self: &Arc<Self>,
        mode: Mode,
        pass: Pass,
        tensors: impl Iterator<Item = &'a Tensor> + Clone,
        dispatches: Arc<[Dispatch]>,
    ) {
        let user: Weak<dyn BufferUser> = Arc::<Self>::downgrade(self);
        tensors.clone().for_each(|tensor| tensor.memory().add_user(&user));
        let mut entries = self.entries();
        if entries.len() >= REMEMBERED {
            entries.remove(0);
        }
        entries.push((Key::new(mode, pass, tensors), dispatches));
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    pub fn clear(&self) {
        self.entries().clear();
    }

    fn entries(&self) -> MutexGuard<'_, Vec<(Key, Arc<[Dispatch]>)>> {
        lock(&self.entries)
    }
}

impl BufferUser for Prepared {
    fn forget(&self, id: u64) {
        self.entries().retain(|(key, _)| key.tensors.iter().all(|tensor| tensor.place.0 != id));
    }
}
