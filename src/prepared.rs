//! What a layer has prepared for tensors that it has seen: to record a forward of them again, nothing is made anew.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::dtype::DType;
use crate::pipeline::Pipeline;
use crate::spec::Mode;
use crate::tensor::Tensor;

/// Pairs of tensors that a layer remembers. A forward of more than these in turn prepares each anew.
const REMEMBERED: usize = 256;

/// A dispatch, ready to be recorded.
#[derive(Debug)]
pub(crate) struct Ready {
    pub name: &'static str,
    pub pipeline: Arc<Pipeline>,
    pub group: wgpu::BindGroup,
    pub workgroups: [u32; 2],
}

/// A layer's forwards by what they depend on.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    entries: Mutex<Vec<(Key, Arc<[Ready]>)>>,
}

/// Everything that a forward of a layer depends on, the layer itself aside.
#[derive(Debug)]
struct Key {
    mode: Mode,
    dtype: DType,
    shape: Vec<usize>,
    /// Memory and offset.
    x: (u64, u64),
    y: (u64, u64),
}

impl Key {
    fn new(mode: Mode, x: &Tensor, y: &Tensor) -> Key {
        Key { mode, dtype: x.dtype(), shape: x.shape().to_vec(), x: x.place(), y: y.place() }
    }

    fn is(&self, mode: Mode, x: &Tensor, y: &Tensor) -> bool {
        let places = self.x == x.place() && self.y == y.place();
        places && self.mode == mode && [x, y].iter().all(|t| t.dtype() == self.dtype && t.shape() == self.shape)
    }
}

impl Prepared {
    pub fn get(&self, mode: Mode, x: &Tensor, y: &Tensor) -> Option<Arc<[Ready]>> {
        let entries = self.entries();
        entries.iter().find(|(key, _)| key.is(mode, x, y)).map(|(_, ready)| ready.clone())
    }

    /// Remembers `ready` for as long as both tensors' memory lives.
    pub fn put(self: &Arc<Self>, mode: Mode, x: &Tensor, y: &Tensor, ready: Arc<[Ready]>) {
        let user = Arc::downgrade(self);
        x.memory().used_by(&user);
        y.memory().used_by(&user);
        let mut entries = self.entries();
        if entries.len() >= REMEMBERED {
            entries.remove(0);
        }
        entries.push((Key::new(mode, x, y), ready));
    }

    /// Drops what uses this memory.
    pub fn forget(&self, id: u64) {
        self.entries().retain(|(key, _)| key.x.0 != id && key.y.0 != id);
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    pub fn clear(&self) {
        self.entries().clear();
    }

    fn entries(&self) -> MutexGuard<'_, Vec<(Key, Arc<[Ready]>)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
