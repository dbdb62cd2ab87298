//! Training: a forward that saves what its backward needs, the backward, and the parameters that it is for.

use std::sync::Arc;
use std::time::Duration;

use super::{Call, GpuNorm};
use crate::dtype::DType;
use crate::encode::record;
use crate::error::{Error, Result};
use crate::geometry::{Geometry, Source};
use crate::kernel::Binding;
use crate::plan::{Pass, Plan};
use crate::prepared::{Prepared, Ready};
use crate::spec::{Mode, NormSpec};
use crate::tensor::Tensor;

/// What a backward needs of its forward: the input, its statistics, and copies of the weight and of running statistics
/// that were used, as they were. Whatever happens to the layer later, the gradients are those of that forward. Clones
/// share the memory.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Whose forward it was.
    layer: Arc<Prepared>,
    mode: Mode,
    geometry: Geometry,
    /// Partial moments per row.
    parts: usize,
    x: Tensor,
    kept: Vec<(Binding, Tensor)>,
}

/// The gradients of a loss, each in the shape of what it is of: the input's in the input's element type, the others f32.
/// `None` where the layer has no such parameter.
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
    accumulate: bool,
}

impl Gradients {
    /// A gradient of the input and of nothing else; set the other fields to tensors of the layer's parameters' shapes.
    pub fn new(input: Tensor) -> Gradients {
        let (weight, bias, mean_weight, var_weight) = (None, None, None, None);
        Gradients { input, weight, bias, mean_weight, var_weight, accumulate: false }
    }

    /// Whether [`GpuNorm::encode_backward`] adds to what is in the tensors instead of replacing it.
    pub fn accumulate(mut self, accumulate: bool) -> Gradients {
        self.accumulate = accumulate;
        self
    }

    /// All tensors but the input's, by the parameter that they are of.
    fn parameters(&self) -> [(Binding, &'static str, Binding, &Option<Tensor>); 4] {
        [
            (Binding::Weight, "weight", Binding::WeightGradient, &self.weight),
            (Binding::Bias, "bias", Binding::BiasGradient, &self.bias),
            (Binding::MeanWeight, "mean_weight", Binding::MeanWeightGradient, &self.mean_weight),
            (Binding::VarWeight, "var_weight", Binding::VarWeightGradient, &self.var_weight),
        ]
    }
}

impl GpuNorm {
    /// As [`forward_tensor`](Self::forward_tensor), and what [`backward`](Self::backward) needs. `x` must not be written
    /// before the backward has run.
    ///
    /// # Errors
    /// As [`forward_tensor`](Self::forward_tensor).
    pub fn forward_saved(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        self.check_gpu(x, "the input")?;
        let y = Tensor::uninitialized(&self.gpu, x.shape(), x.dtype())?;
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        let saved = self.record_saved(&mut encoder, x, &y)?;
        self.gpu.submit(encoder)?;
        Ok((y, saved))
    }

    /// As [`encode_forward`](Self::encode_forward), and what [`encode_backward`](Self::encode_backward) needs, which may be
    /// recorded into the same encoder. `x` must not be written before the backward has run.
    ///
    /// # Errors
    /// As [`encode_forward`](Self::encode_forward).
    pub fn encode_forward_saved(&self, encoder: &mut wgpu::CommandEncoder, x: &Tensor, y: &Tensor) -> Result<Saved> {
        let saved = self.record_saved(encoder, x, y)?;
        saved.kept.iter().map(|(_, tensor)| tensor).chain([x, y]).for_each(Tensor::show);
        Ok(saved)
    }

    fn record_saved(&self, encoder: &mut wgpu::CommandEncoder, x: &Tensor, y: &Tensor) -> Result<Saved> {
        let pass = Pass::Forward { saves: true };
        let (geometry, plan) = self.checked_plan(x, y, pass)?;
        let parts = plan.steps.first().map_or(1, |step| step.params.segments.max(1) as usize);
        let scratch = |binding| {
            let floats = usize::try_from(plan.scratch.bytes(binding) / 4).unwrap_or(usize::MAX);
            Ok((binding, Tensor::uninitialized(&self.gpu, &[floats], DType::F32)?))
        };
        let mut kept: Vec<_> =
            self.kept_scratch(&geometry).iter().map(|&binding| scratch(binding)).collect::<Result<_>>()?;
        let sliced = [(Binding::X, x), (Binding::Y, y)];
        let call = Call { mode: self.mode, pass, sliced: &sliced, kept: &kept };
        let ready = self.prepare_call(call, || Ok(plan))?;

        let mut used = vec![Binding::Weight];
        if geometry.source == Source::Running && !matches!(self.spec, NormSpec::Switchable(_)) {
            used.extend([Binding::RunningMean, Binding::RunningVar]);
        }
        let live = used.into_iter().filter_map(|binding| Some((binding, self.state.tensor(binding)?)));
        let copies: Vec<_> = live
            .map(|(binding, live)| {
                let copy = Tensor::uninitialized(&self.gpu, live.shape(), live.dtype())?;
                Ok((binding, live, copy))
            })
            .collect::<Result<_>>()?;
        // Nothing can fail from here on.
        for (binding, live, copy) in copies {
            live.record_copy(encoder, &copy);
            kept.push((binding, copy));
        }
        record(encoder, &ready, None);
        Ok(Saved { layer: self.prepared.clone(), mode: self.mode, geometry, parts, x: x.clone(), kept })
    }

    /// The scratch of a forward that its backward needs.
    fn kept_scratch(&self, geometry: &Geometry) -> &'static [Binding] {
        match (&self.spec, geometry.source) {
            (NormSpec::Switchable(_), _) => &[Binding::Moments, Binding::Axes],
            (_, Source::Input) => &[Binding::Statistics],
            (_, Source::Running) => &[],
        }
    }

    /// The gradients of a loss by the input and the parameters of a forward, from the loss's gradient `dy` by its output.
    /// One submission, no wait.
    ///
    /// # Errors
    /// Those of [`encode_backward`](Self::encode_backward), and [`Error::OutOfMemory`].
    pub fn backward(&self, dy: &Tensor, saved: &Saved) -> Result<Gradients> {
        self.check_saved(saved)?;
        let new = |tensor: &Tensor| Tensor::uninitialized(&self.gpu, tensor.shape(), tensor.dtype());
        let gradients = self.gradients_by(saved, new)?;
        let ready = self.prepare_backward(dy, saved, &gradients)?;
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        self.record_backward(&mut encoder, &ready, &gradients);
        self.gpu.submit(encoder)?;
        Ok(gradients)
    }

    /// Records a backward into tensors of yours and nothing else. `dy` has the shape and element type of the forward's
    /// input; `gradients` has a tensor for every parameter that the layer has, and no other.
    ///
    /// # Errors
    /// [`Error::OtherLayer`], [`Error::OtherDevice`], [`Error::Shape`], [`Error::ElementType`], [`Error::NoGradient`],
    /// [`Error::NoParameter`], [`Error::Aliasing`], and [`Error::BufferUsage`] for an empty input whose gradients' buffers
    /// lack `COPY_DST`. The device: [`Error::TooLarge`], [`Error::OutOfMemory`], [`Error::DeviceLost`]. On an error
    /// nothing is recorded.
    pub fn encode_backward(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        dy: &Tensor,
        saved: &Saved,
        gradients: &Gradients,
    ) -> Result<()> {
        self.check_saved(saved)?;
        let ready = self.prepare_backward(dy, saved, gradients)?;
        let parameters = gradients.parameters().map(|(_, _, _, tensor)| tensor.as_ref());
        let all = saved.kept.iter().map(|(_, tensor)| tensor).chain(parameters.into_iter().flatten());
        all.chain([dy, &saved.x, &gradients.input]).for_each(Tensor::show);
        self.record_backward(encoder, &ready, gradients);
        Ok(())
    }

    /// Runs a backward and gives the GPU time of each step, as [`profile`](Self::profile) does of a forward.
    ///
    /// # Errors
    /// Those of [`encode_backward`](Self::encode_backward).
    pub fn profile_backward(
        &self,
        dy: &Tensor,
        saved: &Saved,
        gradients: &Gradients,
    ) -> Result<Option<Vec<(&'static str, Duration)>>> {
        self.check_saved(saved)?;
        self.gpu.alive()?;
        self.profile_of(&self.prepare_backward(dy, saved, gradients)?)
    }

    /// Gradients of the right shapes, all 0: to accumulate into.
    ///
    /// # Errors
    /// [`Error::OtherLayer`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn zero_gradients(&self, saved: &Saved) -> Result<Gradients> {
        self.check_saved(saved)?;
        let zeros = |tensor: &Tensor| Tensor::zeros(&self.gpu, tensor.shape(), tensor.dtype());
        self.gradients_by(saved, zeros)
    }

    /// Each gradient as `like` makes it from what it is of.
    fn gradients_by(&self, saved: &Saved, like: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Gradients> {
        let of = |binding| self.state.tensor(binding).map(&like).transpose();
        Ok(Gradients {
            weight: of(Binding::Weight)?,
            bias: of(Binding::Bias)?,
            mean_weight: of(Binding::MeanWeight)?,
            var_weight: of(Binding::VarWeight)?,
            ..Gradients::new(like(&saved.x)?)
        })
    }

    fn check_saved(&self, saved: &Saved) -> Result<()> {
        if Arc::ptr_eq(&saved.layer, &self.prepared) { Ok(()) } else { Err(Error::OtherLayer) }
    }

    fn prepare_backward(&self, dy: &Tensor, saved: &Saved, gradients: &Gradients) -> Result<Arc<[Ready]>> {
        // Which tensor is for what is not in the key of what is prepared.
        for (binding, name, _, gradient) in gradients.parameters() {
            match (self.state.tensor(binding), gradient) {
                (Some(_), None) => return Err(Error::NoGradient { name }),
                (None, Some(_)) => return Err(Error::NoParameter { name }),
                _ => {}
            }
        }
        let pass = Pass::Backward { parts: saved.parts, accumulate: gradients.accumulate };
        let sliced = [(Binding::X, &saved.x), (Binding::Dy, dy), (Binding::Dx, &gradients.input)];
        let parameters = gradients.parameters();
        let given = parameters.iter().filter_map(|(_, _, binding, tensor)| Some((*binding, (*tensor).clone()?)));
        let kept: Vec<_> = saved.kept.iter().cloned().chain(given).collect();
        let call = Call { mode: saved.mode, pass, sliced: &sliced, kept: &kept };
        self.prepare_call(call, || {
            self.check_backward(dy, saved, gradients)?;
            self.plan_pass(&saved.geometry, saved.x.dtype(), pass)
        })
    }

    fn check_backward(&self, dy: &Tensor, saved: &Saved, gradients: &Gradients) -> Result<()> {
        let (shape, dtype) = (saved.x.shape(), saved.x.dtype());
        dy.check(&self.gpu, "dy", shape, dtype)?;
        gradients.input.check(&self.gpu, "the input's gradient", shape, dtype)?;
        let mut outputs = vec![("input's gradient", &gradients.input)];
        for (binding, name, _, gradient) in gradients.parameters() {
            if let (Some(parameter), Some(gradient)) = (self.state.tensor(binding), gradient) {
                gradient.check(&self.gpu, name, parameter.shape(), DType::F32)?;
                outputs.push((name, gradient));
            }
        }
        let kept = saved.kept.iter().map(|(_, tensor)| ("saved forward", tensor));
        let mut others: Vec<_> = kept.chain([("dy", dy), ("input", &saved.x)]).collect();
        for &(what, output) in &outputs {
            if let Some(&(with, _)) = others.iter().find(|(_, other)| other.shares_buffer(output)) {
                return Err(Error::Aliasing { what, with });
            }
            others.push((what, output));
        }
        if saved.x.is_empty() {
            outputs.iter().try_for_each(|(_, output)| output.check_usage(wgpu::BufferUsages::COPY_DST))?;
        }
        Ok(())
    }

    fn record_backward(&self, encoder: &mut wgpu::CommandEncoder, ready: &[Ready], gradients: &Gradients) {
        if gradients.input.is_empty() && !gradients.accumulate {
            // Sums of nothing.
            for (_, _, _, gradient) in gradients.parameters() {
                gradient.iter().for_each(|gradient| gradient.record_clear(encoder));
            }
        }
        record(encoder, ready, None);
    }

    /// What a backward of a forward like `saved` runs, and why.
    ///
    /// # Errors
    /// [`Error::OtherLayer`], [`Error::TooLarge`], [`Error::Strategy`].
    pub fn plan_backward(&self, saved: &Saved) -> Result<Plan> {
        self.check_saved(saved)?;
        let pass = Pass::Backward { parts: saved.parts, accumulate: false };
        self.plan_pass(&saved.geometry, saved.x.dtype(), pass)
    }

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

    /// Puts a tensor of yours in place of the weight. It is not copied: from now on it is the live one.
    ///
    /// # Errors
    /// [`Error::NoParameter`], [`Error::OtherDevice`], [`Error::Shape`], [`Error::ElementType`] (parameters are f32), and
    /// [`Error::BufferUsage`] where its buffer lacks `COPY_DST`, which loading a state dict needs.
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

    fn replace(&mut self, name: &'static str, tensor: &Tensor) -> Result<()> {
        self.state.replace(&self.gpu, name, tensor)?;
        self.prepared.clear();
        Ok(())
    }
}
