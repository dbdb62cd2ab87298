//! Running statistics.

use burn::module::RunningState;
use burn::tensor::{Device, Tensor};
use gpunorm::Mode;

use crate::parameters::Running;

/// A layer's, borrowed.
pub struct Tracked<'a> {
    pub mean: &'a Option<RunningState<Tensor<1>>>,
    pub var: &'a Option<RunningState<Tensor<1>>>,
    /// The number of batches so far, where the running statistics are these batches' average.
    pub batches: &'a Option<RunningState<Tensor<1>>>,
}

/// Mean 0, variance 1.
pub fn initial(
    tracked: bool,
    channels: usize,
    device: &Device,
) -> (Option<RunningState<Tensor<1>>>, Option<RunningState<Tensor<1>>>) {
    let state = |tensor| tracked.then(|| RunningState::new(tensor));
    (state(Tensor::zeros([channels], device)), state(Tensor::ones([channels], device)))
}

impl Tracked<'_> {
    /// What they are now. A training forward takes other threads' as they come, as burn's does.
    pub fn values(&self, mode: Mode, device: &Device) -> Option<Running> {
        let value = |state: &RunningState<Tensor<1>>| match mode {
            Mode::Training => state.value_sync(),
            Mode::Evaluation => state.value(),
        };
        let value = |state| value(state).to_device(device).detach();
        Some(Running { mean: value(self.mean.as_ref()?), var: value(self.var.as_ref()?) })
    }

    /// Takes what a forward has made of them; of an average, the batch's own.
    pub fn follow(&self, before: Option<Running>, moved: Option<Running>) {
        let (Some(mean), Some(var), Some(before), Some(moved)) = (self.mean, self.var, before, moved) else { return };
        let Some(batches) = self.batches else {
            mean.update(moved.mean.detach());
            var.update(moved.var.detach());
            return;
        };
        let count = batches.value_sync().to_device(&moved.mean.device()).detach() + 1.0;
        let average = |old: Tensor<1>, new: Tensor<1>| (old.clone() + (new - old) / count.clone()).detach();
        mean.update(average(before.mean, moved.mean));
        var.update(average(before.var, moved.var));
        batches.update(count);
    }
}
