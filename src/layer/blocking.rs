//! What waits where it is called. A browser's thread cannot: there each has only its twin, which is awaited.

use std::time::Duration;

use ndarray::{Array, ArrayRef, Dimension};
use pollster::block_on;

use super::call::Call;
use super::gradients::Gradients;
use super::norm::GpuNorm;
use super::saved::Saved;
use super::state_dict::StateDict;
use crate::device::{Gpu, Tensor};
use crate::dtype::DType;
use crate::error::Result;
use crate::spec::{Mode, NormSpec};

impl GpuNorm {
    /// As [`forward_async`](Self::forward_async), and waits for it: the normalized array, of the same shape. Not in browsers.
    ///
    /// # Errors
    /// As [`forward_async`](Self::forward_async).
    pub fn forward<D: Dimension>(&self, x: &ArrayRef<f32, D>) -> Result<Array<f32, D>> {
        block_on(self.forward_async(x))
    }

    /// As [`profile_async`](Self::profile_async), and waits for it: the GPU time of each step of a forward. Not in browsers.
    ///
    /// # Errors
    /// As [`profile_async`](Self::profile_async).
    pub fn profile(&self, x: &Tensor, y: &Tensor) -> Result<Option<Vec<(&'static str, Duration)>>> {
        block_on(self.profile_async(x, y))
    }

    /// As [`profile_backward_async`](Self::profile_backward_async), and waits for it: the GPU time of each step of a backward.
    /// Not in browsers.
    ///
    /// # Errors
    /// As [`profile_backward_async`](Self::profile_backward_async).
    pub fn profile_backward(
        &self,
        dy: &Tensor,
        saved: &Saved,
        gradients: &Gradients,
    ) -> Result<Option<Vec<(&'static str, Duration)>>> {
        block_on(self.profile_backward_async(dy, saved, gradients))
    }

    /// As [`read_state_dict`](Self::read_state_dict), and waits for it: parameters and running statistics. Not in browsers.
    ///
    /// # Errors
    /// As [`read_state_dict`](Self::read_state_dict).
    pub fn state_dict(&self, prefix: &str) -> Result<StateDict> {
        block_on(self.read_state_dict(prefix))
    }

    /// As [`read_num_batches_tracked`](Self::read_num_batches_tracked), and waits for it. Not in browsers.
    ///
    /// # Errors
    /// As [`read_num_batches_tracked`](Self::read_num_batches_tracked).
    pub fn num_batches_tracked(&self) -> Result<Option<u32>> {
        block_on(self.read_num_batches_tracked())
    }
}

impl Call<'_> {
    /// As [`GpuNorm::forward`].
    ///
    /// # Errors
    /// As [`GpuNorm::forward`].
    pub fn forward<D: Dimension>(&self, x: &ArrayRef<f32, D>) -> Result<Array<f32, D>> {
        block_on(self.forward_async(x))
    }

    /// As [`GpuNorm::profile`].
    ///
    /// # Errors
    /// As [`GpuNorm::profile`].
    pub fn profile(&self, x: &Tensor, y: &Tensor) -> Result<Option<Vec<(&'static str, Duration)>>> {
        block_on(self.profile_async(x, y))
    }
}

impl Gpu {
    /// As [`warm_up_async`](Self::warm_up_async), and waits for it. Not in browsers.
    ///
    /// # Errors
    /// As [`warm_up_async`](Self::warm_up_async).
    pub fn warm_up(&self, specs: &[NormSpec], shapes: &[&[usize]], dtype: DType, mode: Mode) -> Result<()> {
        block_on(self.warm_up_async(specs, shapes, dtype, mode))
    }
}
