//! The parameters and running statistics that a layer uses, as live tensors.

use super::norm::GpuNorm;
use crate::device::Tensor;
use crate::error::Result;
use crate::kernel::Binding;

impl GpuNorm {
    /// The weight that forwards use, live: what is written into it counts from the next forward on.
    #[doc(alias = "gamma")]
    pub fn weight(&self) -> Option<&Tensor> {
        self.state.tensor(Binding::Weight)
    }

    /// The bias, likewise.
    #[doc(alias = "beta")]
    pub fn bias(&self) -> Option<&Tensor> {
        self.state.tensor(Binding::Bias)
    }

    /// Switchable norm's weights of the means (of the softmax, its logits), likewise.
    pub fn mean_weight(&self) -> Option<&Tensor> {
        self.state.tensor(Binding::MeanWeight)
    }

    /// Switchable norm's weights of the variances, likewise.
    pub fn var_weight(&self) -> Option<&Tensor> {
        self.state.tensor(Binding::VarWeight)
    }

    /// The running mean, likewise.
    pub fn running_mean(&self) -> Option<&Tensor> {
        self.state.tensor(Binding::RunningMean)
    }

    /// The running variance, likewise.
    pub fn running_var(&self) -> Option<&Tensor> {
        self.state.tensor(Binding::RunningVar)
    }

    /// Puts a tensor of yours in place of the weight. It is not copied: from now on it is the live one. Parameters may
    /// share a buffer with one another and with inputs, but not with anything that a pass writes: a forward in
    /// training, which moves the running statistics, is then refused with [`Aliasing`](crate::Error::Aliasing).
    ///
    /// # Errors
    /// [`NoParameter`](crate::Error::NoParameter), [`OtherDevice`](crate::Error::OtherDevice),
    /// [`Shape`](crate::Error::Shape), [`ElementType`](crate::Error::ElementType) (parameters are f32), and
    /// [`BufferUsage`](crate::Error::BufferUsage) where its buffer lacks `COPY_DST`, which loading a state dict needs.
    pub fn set_weight(&mut self, weight: &Tensor) -> Result<()> {
        self.replace("weight", weight)
    }

    /// Likewise the bias.
    ///
    /// # Errors
    /// As [`set_weight`](Self::set_weight).
    pub fn set_bias(&mut self, bias: &Tensor) -> Result<()> {
        self.replace("bias", bias)
    }

    /// Likewise switchable norm's weights of the means.
    ///
    /// # Errors
    /// As [`set_weight`](Self::set_weight).
    pub fn set_mean_weight(&mut self, mean_weight: &Tensor) -> Result<()> {
        self.replace("mean_weight", mean_weight)
    }

    /// Likewise switchable norm's weights of the variances.
    ///
    /// # Errors
    /// As [`set_weight`](Self::set_weight).
    pub fn set_var_weight(&mut self, var_weight: &Tensor) -> Result<()> {
        self.replace("var_weight", var_weight)
    }

    /// Likewise the running mean: from now on forwards in training move this tensor.
    ///
    /// # Errors
    /// As [`set_weight`](Self::set_weight).
    pub fn set_running_mean(&mut self, running_mean: &Tensor) -> Result<()> {
        self.replace("running_mean", running_mean)
    }

    /// Likewise the running variance.
    ///
    /// # Errors
    /// As [`set_weight`](Self::set_weight).
    pub fn set_running_var(&mut self, running_var: &Tensor) -> Result<()> {
        self.replace("running_var", running_var)
    }

    /// The batches behind the running statistics, where the layer has them; instance norm's stays at 0, as torch's does. As
    /// they are after the work before it: `num_batches_tracked()` blocks for them, outside of browsers.
    ///
    /// # Errors
    /// [`DeviceLost`](crate::Error::DeviceLost), [`OutOfMemory`](crate::Error::OutOfMemory).
    pub async fn read_num_batches_tracked(&self) -> Result<Option<u32>> {
        self.state.read_counter(&self.gpu).await
    }

    /// Sets the batches behind the running statistics. They are counted up to 2³² − 1.
    ///
    /// # Errors
    /// [`NoParameter`](crate::Error::NoParameter) where the layer has no running statistics;
    /// [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost).
    pub fn set_num_batches_tracked(&mut self, batches: u32) -> Result<()> {
        self.state.set_counter(&self.gpu, batches)
    }

    fn replace(&mut self, name: &'static str, tensor: &Tensor) -> Result<()> {
        self.state.replace(&self.gpu, name, tensor)?;
        self.prepared.clear();
        Ok(())
    }
}
