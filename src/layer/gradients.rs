//! Where a backward's results go.

use crate::device::Tensor;
use crate::error::Result;
use crate::kernel::Binding;

/// What errors say is done.
const ZEROING: &str = "zeroing gradients";

/// A gradient of a parameter.
pub(super) struct ParameterGradient<'a> {
    pub parameter: Binding,
    /// The parameter's name, and the gradient's.
    pub of: &'static str,
    pub name: &'static str,
    pub gradient: Binding,
    pub tensor: &'a Option<Tensor>,
}

/// The gradients of a loss, each in the shape of what it is of: the input's in the input's element type, the others f32.
/// `None` where the layer has no such parameter. Each has a buffer of its own: wgpu cannot bind one buffer for writing
/// twice.
#[derive(Debug, Clone)]
pub struct Gradients {
    /// Of the input.
    pub input: Tensor,
    /// Of the weight: `[C]`, or the normalized shape.
    pub weight: Option<Tensor>,
    /// Of the bias, in the same shape.
    pub bias: Option<Tensor>,
    /// Of switchable norm's `mean_weight`, one per statistic that it mixes.
    pub mean_weight: Option<Tensor>,
    /// Of switchable norm's `var_weight`, likewise.
    pub var_weight: Option<Tensor>,
    pub(super) accumulate: bool,
}

impl Gradients {
    /// A gradient of the input and of nothing else; set the other fields to tensors of the layer's parameters' shapes.
    pub fn new(input: Tensor) -> Gradients {
        let (weight, bias, mean_weight, var_weight) = (None, None, None, None);
        Gradients { input, weight, bias, mean_weight, var_weight, accumulate: false }
    }

    /// Whether [`GpuNorm::encode_backward`](crate::GpuNorm::encode_backward) adds to what is in the tensors instead of replacing it.
    pub fn accumulate(mut self, accumulate: bool) -> Gradients {
        self.accumulate = accumulate;
        self
    }

    /// Sets all of them to 0, after the work that was submitted before.
    ///
    /// # Errors
    /// As [`encode_zero`](Self::encode_zero).
    pub fn zero(&self) -> Result<()> {
        let checked = self.input.gpu().checked();
        let mut encoder = checked.encoder(ZEROING)?;
        self.record_zeros(&mut encoder)?;
        checked.submit(encoder, ZEROING)
    }

    /// Records zeros in all of them.
    ///
    /// # Errors
    /// [`BufferUsage`](crate::Error::BufferUsage) where a wrapped buffer lacks `COPY_DST`;
    /// [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost). On
    /// an error nothing is recorded.
    pub fn encode_zero(&self, encoder: &mut wgpu::CommandEncoder) -> Result<()> {
        self.record_zeros(encoder)?;
        self.tensors().for_each(Tensor::forbid_reuse);
        Ok(())
    }

    fn record_zeros(&self, encoder: &mut wgpu::CommandEncoder) -> Result<()> {
        self.input.gpu().checked().check_alive(ZEROING)?;
        self.tensors().try_for_each(|tensor| tensor.check_usage(wgpu::BufferUsages::COPY_DST))?;
        // Only the input's, which is first, can fail: the others have whole words.
        self.tensors().try_for_each(|tensor| tensor.record_zeros(encoder, ZEROING))
    }

    pub(super) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.named().into_iter().filter_map(|(_, tensor)| tensor)
    }

    /// All of them, by what they are of.
    pub fn named(&self) -> [(&'static str, Option<&Tensor>); 5] {
        [
            ("input", Some(&self.input)),
            ("weight", self.weight.as_ref()),
            ("bias", self.bias.as_ref()),
            ("mean_weight", self.mean_weight.as_ref()),
            ("var_weight", self.var_weight.as_ref()),
        ]
    }

    /// All tensors but the input's.
    pub(super) fn parameters(&self) -> [ParameterGradient<'_>; 4] {
        let given = |parameter, of, gradient, name, tensor| ParameterGradient { parameter, of, name, gradient, tensor };
        [
            given(Binding::Weight, "weight", Binding::WeightGradient, "weight's gradient", &self.weight),
            given(Binding::Bias, "bias", Binding::BiasGradient, "bias's gradient", &self.bias),
            given(
                Binding::MeanWeight,
                "mean_weight",
                Binding::MeanWeightGradient,
                "mean_weight's gradient",
                &self.mean_weight,
            ),
            given(
                Binding::VarWeight,
                "var_weight",
                Binding::VarWeightGradient,
                "var_weight's gradient",
                &self.var_weight,
            ),
        ]
    }
}
