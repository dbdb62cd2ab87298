//! Where a backward's results go.

use crate::device::{Recorder, Tensor, record, zeros};
use crate::error::{Error, Result};
use crate::kernel::Binding;
use crate::plan::Gradient;

/// What errors say is done.
const ZEROING: &str = "zeroing gradients";

/// The gradients of a loss, each in the shape of what it is of: the input's, and that of what was added after, in the input's
/// element type, the others f32.
/// `None` where the layer has no such parameter, and where nobody wants it: a backward computes no more than what has a
/// tensor here. Each has a buffer of its own: wgpu cannot bind one buffer for writing twice. The input's may be that of the output (dy).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Gradients {
    /// Of the input.
    pub input: Option<Tensor>,
    /// Of the weight: `[C]`, or the normalized shape.
    pub weight: Option<Tensor>,
    /// Of the bias, in the same shape.
    pub bias: Option<Tensor>,
    /// Of switchable norm's `mean_weight`, one per statistic that it mixes.
    pub mean_weight: Option<Tensor>,
    /// Of switchable norm's `var_weight`, likewise.
    pub var_weight: Option<Tensor>,
    /// Of what was [added after](crate::Call::add_after) the layer, in the input's shape and element type: always replaced.
    pub add_after: Option<Tensor>,
    /// Of what was [added before](crate::Call::add_before) by channel, `[N, C]`: always replaced. It is summed from
    /// the input's as that is stored; what was added in the input's shape has that one itself.
    pub add_before: Option<Tensor>,
    /// Of the scale that [modulated](crate::Call::modulate) the layer, in its shape: always replaced.
    pub scale: Option<Tensor>,
    /// Of the shift, likewise.
    pub shift: Option<Tensor>,
    pub(super) accumulate: bool,
    pub(super) accumulate_input: bool,
}

/// Which gradients a backward is to give. Others may be summed in another order then: the same within the bounds, not to the
/// bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Wanted {
    /// Those of the input and of all parameters.
    #[default]
    All,
    /// The input's, and those of what stands beside the layer: it is frozen, others below it are not.
    Input,
    /// Those of the parameters: there is nothing below that learns.
    Parameters,
}

impl Gradients {
    /// A gradient of the input and of nothing else; set the other fields to tensors of the layer's parameters' shapes.
    /// [`Gradients::default`] has none.
    pub fn new(input: Tensor) -> Gradients {
        Gradients { input: Some(input), ..Gradients::default() }
    }

    /// The input's.
    ///
    /// # Errors
    /// [`NoGradient`](Error::NoGradient) where it was not wanted.
    pub fn input(&self) -> Result<&Tensor> {
        self.input.as_ref().ok_or(Error::NoGradient { name: "the input" })
    }

    /// Whether [`GpuNorm::encode_backward`](crate::GpuNorm::encode_backward) adds the parameters' gradients to what is in
    /// their tensors, as torch does from batch to batch. The input's is replaced.
    pub fn accumulate(mut self, accumulate: bool) -> Gradients {
        self.accumulate = accumulate;
        self
    }

    /// Whether it adds the input's too: for an input that several layers have read.
    pub fn accumulate_input(mut self, accumulate: bool) -> Gradients {
        self.accumulate_input = accumulate;
        self
    }

    /// What a backward does with the input's, and with those of parameters.
    pub(super) fn stored(&self) -> [Gradient; 2] {
        let stored = |wanted, adds| match (wanted, adds) {
            (false, _) => Gradient::Unwanted,
            (true, false) => Gradient::Replaced,
            (true, true) => Gradient::Added,
        };
        let parameters = self.parameters().next().is_some();
        [stored(self.input.is_some(), self.accumulate_input), stored(parameters, self.accumulate)]
    }

    /// Sets all of them to 0, after the work that was submitted before.
    ///
    /// # Errors
    /// As [`encode_zero`](Self::encode_zero).
    pub fn zero(&self) -> Result<()> {
        let Some(first) = self.tensors().next() else { return Ok(()) };
        let checked = first.gpu().checked();
        let dispatches = zeros(self.tensors(), ZEROING)?;
        let mut encoder = checked.encoder(ZEROING)?;
        record(&mut encoder, &dispatches);
        checked.submit(encoder, ZEROING)
    }

    /// Records zeros in all of them.
    ///
    /// # Errors
    /// [`BufferUnusable`](crate::Error::BufferUnusable), [`OutOfMemory`](crate::Error::OutOfMemory),
    /// [`DeviceLost`](crate::Error::DeviceLost). On an error nothing is recorded.
    pub fn encode_zero(&self, to: &mut impl Recorder) -> Result<()> {
        self.tensors().next().map_or(Ok(()), |first| first.gpu().checked().check_alive(ZEROING))?;
        record(to, &zeros(self.tensors(), ZEROING)?);
        self.tensors().for_each(Tensor::forbid_reuse);
        Ok(())
    }

    /// Whether a backward has to know what other processes' shares give.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn exchanges(&self) -> bool {
        // Of what was added before, the gradient is summed of the input's.
        self.input.is_some() || self.add_before.is_some()
    }

    pub(super) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.named().into_iter().filter_map(|(_, tensor)| tensor)
    }

    /// All of them, by what they are of.
    pub fn named(&self) -> [(&'static str, Option<&Tensor>); 9] {
        [
            ("input", self.input.as_ref()),
            ("weight", self.weight.as_ref()),
            ("bias", self.bias.as_ref()),
            ("mean_weight", self.mean_weight.as_ref()),
            ("var_weight", self.var_weight.as_ref()),
            ("add_after", self.add_after.as_ref()),
            ("scale", self.scale.as_ref()),
            ("shift", self.shift.as_ref()),
            ("add_before", self.add_before.as_ref()),
        ]
    }

    /// Those of what each sample has, by this and what they bind to.
    pub(super) fn of_samples(&self) -> impl Iterator<Item = (Binding, Binding, &Tensor)> {
        let given = [
            (Binding::AddBefore, Binding::AddBeforeGradient, &self.add_before),
            (Binding::ModulationScale, Binding::ScaleGradient, &self.scale),
            (Binding::ModulationShift, Binding::ShiftGradient, &self.shift),
        ];
        given.into_iter().filter_map(|(given, gradient, tensor)| Some((given, gradient, tensor.as_ref()?)))
    }

    /// All but the input's, by the parameter and what it binds to.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (Binding, Binding, &Tensor)> {
        let given = [
            (Binding::Weight, &self.weight),
            (Binding::Bias, &self.bias),
            (Binding::MeanWeight, &self.mean_weight),
            (Binding::VarWeight, &self.var_weight),
        ];
        given.into_iter().filter_map(|(parameter, tensor)| Some((parameter, parameter.gradient()?, tensor.as_ref()?)))
    }
}
