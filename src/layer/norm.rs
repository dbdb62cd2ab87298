//! The layer that users call.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::prepared::Prepared;
use super::state::State;
use super::state_dict::StateDict;
use crate::device::Gpu;
use crate::error::Result;
#[cfg(not(target_arch = "wasm32"))]
use crate::group::ProcessGroup;
use crate::plan::Strategy;
use crate::spec::{Mode, NormSpec};

/// A normalization layer on a GPU, with its parameters and running statistics. It starts in training mode, as torch's
/// modules do.
///
/// Every call takes `&self`: several threads may share one layer in an `Arc`, and its running statistics then move in the
/// order in which the queue received their work. A call can have a mode of its own: [`call`](Self::call).
pub struct GpuNorm {
    pub(super) gpu: Gpu,
    pub(super) spec: NormSpec,
    pub(super) evaluates: AtomicBool,
    pub(super) strategy: Strategy,
    pub(super) state: State,
    pub(super) prepared: Arc<Prepared>,
    /// What saved forwards are known by.
    pub(super) identity: Arc<()>,
    /// Who shares its batch, and its number among their layers.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) group: Option<(ProcessGroup, u64)>,
}

impl GpuNorm {
    /// A layer with torch's initial values.
    ///
    /// # Errors
    /// Those of [`NormSpec::validate`]; [`TooLarge`](crate::Error::TooLarge), [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost).
    pub fn new(gpu: &Gpu, spec: impl Into<NormSpec>) -> Result<GpuNorm> {
        let spec = spec.into();
        spec.validate()?;
        let state = State::new(gpu, &spec)?;
        Ok(GpuNorm::of(gpu.clone(), spec, state))
    }

    fn of(gpu: Gpu, spec: NormSpec, state: State) -> GpuNorm {
        let (evaluates, strategy, prepared, identity) = Default::default();
        GpuNorm {
            gpu,
            spec,
            evaluates,
            strategy,
            state,
            prepared,
            identity,
            #[cfg(not(target_arch = "wasm32"))]
            group: None,
        }
    }

    /// Another layer of the same spec, mode and strategy, with copies of the parameters and running statistics as they are
    /// after the work that was submitted before. Not `Clone`, since it can fail.
    ///
    /// # Errors
    /// [`TooLarge`](crate::Error::TooLarge), [`OutOfMemory`](crate::Error::OutOfMemory),
    /// [`BufferUnusable`](crate::Error::BufferUnusable), [`DeviceLost`](crate::Error::DeviceLost).
    pub fn try_clone(&self) -> Result<GpuNorm> {
        let state = self.state.try_clone(&self.gpu, &self.spec)?;
        let mut norm = GpuNorm::of(self.gpu.clone(), self.spec.clone(), state);
        norm.set_mode(self.mode());
        norm.set_remembered_passes(self.remembered_passes());
        norm.strategy = self.strategy;
        #[cfg(not(target_arch = "wasm32"))]
        norm.set_process_group(self.process_group());
        Ok(norm)
    }

    /// How many processes share the batch of a call in this mode.
    pub(super) fn processes(&self, mode: Mode) -> Option<usize> {
        #[cfg(not(target_arch = "wasm32"))]
        if let (Mode::Training, Some((group, _))) = (mode, self.group_of_batch()) {
            return Some(group.size());
        }
        let _ = mode;
        None
    }

    /// What the layer is.
    pub fn spec(&self) -> &NormSpec {
        &self.spec
    }

    /// The GPU that it lives on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Training or evaluation.
    pub fn mode(&self) -> Mode {
        if self.evaluates.load(Ordering::Relaxed) { Mode::Evaluation } else { Mode::Training }
    }

    /// Training: from now on the input's statistics, and running ones that move. Evaluation: the running ones, where the
    /// layer has them, and nothing moves. Other threads' calls that have begun keep their mode.
    pub fn set_mode(&self, mode: Mode) {
        self.evaluates.store(mode == Mode::Evaluation, Ordering::Relaxed);
    }

    /// [`set_mode`](Self::set_mode) to [`Mode::Training`], in torch's words.
    pub fn train(&mut self) {
        self.set_mode(Mode::Training);
    }

    /// [`set_mode`](Self::set_mode) to [`Mode::Evaluation`], in torch's words.
    pub fn eval(&mut self) {
        self.set_mode(Mode::Evaluation);
    }

    /// Forces how forwards and backwards are planned. For tests and experiments, and [unstable](crate::unstable).
    pub fn set_strategy(&mut self, strategy: Strategy) {
        self.strategy = strategy;
        self.prepared.clear();
    }

    /// How many passes over other tensors, forwards and backwards, the layer remembers what it has prepared for: 256 at first.
    pub fn remembered_passes(&self) -> usize {
        self.prepared.most()
    }

    /// Sets [`remembered_passes`](Self::remembered_passes). More passes than that in turn are each bound anew, which costs
    /// tens of microseconds; each that is remembered holds bind groups, and the app's buffers that are in them.
    pub fn set_remembered_passes(&self, passes: usize) {
        self.prepared.set_most(passes);
    }

    /// Weight 1, bias 0, switchable norm's weights equal; and [`reset_running_stats`](Self::reset_running_stats).
    ///
    /// # Errors
    /// [`BufferUnusable`](crate::Error::BufferUnusable), [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost); nothing is reset then.
    pub fn reset_parameters(&mut self) -> Result<()> {
        self.state.reset(&self.gpu, true)
    }

    /// Running mean 0, running variance 1, no batches tracked.
    ///
    /// # Errors
    /// [`BufferUnusable`](crate::Error::BufferUnusable), [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost); nothing is reset then.
    pub fn reset_running_stats(&mut self) -> Result<()> {
        self.state.reset(&self.gpu, false)
    }

    /// Loads parameters and running statistics from the keys of the module `prefix` (`bn1` or `bn1.`; all keys for ""),
    /// which must be the layer's and of its shapes; only `num_batches_tracked` may be missing, and is then kept. Switchable norm also takes the
    /// shapes of the authors' checkpoints, with extra dimensions of 1.
    ///
    /// # Errors
    /// [`MissingKey`](crate::Error::MissingKey), [`UnexpectedKeys`](crate::Error::UnexpectedKeys), [`KeyShape`](crate::Error::KeyShape), [`KeyType`](crate::Error::KeyType), [`Counter`](crate::Error::Counter),
    /// [`BufferUnusable`](crate::Error::BufferUnusable), [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost); nothing is loaded then.
    pub fn load_state_dict(&mut self, state: &StateDict, prefix: &str) -> Result<()> {
        self.state.load(&self.gpu, state, prefix)
    }

    /// Parameters and running statistics under torch's names, as those of the module `prefix` (`bn1` or `bn1.`), as they are
    /// after the work before it. `state_dict(prefix)` blocks for them, outside of browsers.
    ///
    /// # Errors
    /// [`DeviceLost`](crate::Error::DeviceLost), [`OutOfMemory`](crate::Error::OutOfMemory).
    pub async fn read_state_dict(&self, prefix: &str) -> Result<StateDict> {
        self.state.read(&self.gpu, prefix).await
    }
}

impl fmt::Debug for GpuNorm {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("GpuNorm").field("spec", &self.spec).field("mode", &self.mode()).finish_non_exhaustive()
    }
}
