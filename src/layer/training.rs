//! Training: a forward that saves what its backward needs, and the backward.

use std::sync::Arc;
use std::time::Duration;

use super::encode::record;
use super::norm::{Call, GpuNorm, RUNNING_BACKWARD, RUNNING_FORWARD};
use super::prepared::Dispatch;
use crate::device::{PROFILING, Tensor};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::Binding;
use crate::plan::{Pass, Plan};
use crate::spec::geometry::{Geometry, Source};
use crate::spec::{Mode, NormSpec};

/// What a backward needs of its forward: the input, its statistics, and copies of the weight and of running statistics
/// that were used, as they were. Whatever happens to the layer later, the gradients are those of that forward; or of the
/// last one that was put in its place, by [`GpuNorm::encode_forward_again`]. Clones share the memory.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Whose forward it was.
    layer: Arc<()>,
    mode: Mode,
    geometry: Geometry,
    /// Partial moments per row.
    parts: usize,
    x: Tensor,
    /// What the forward's kernels leave.
    scratch: Vec<(Binding, Tensor)>,
    /// Copies of the layer's arrays.
    copies: Vec<(Binding, Tensor)>,
}

impl Saved {
    fn kept(&self) -> impl Iterator<Item = &(Binding, Tensor)> {
        self.scratch.iter().chain(&self.copies)
    }

    /// Work with all of it and with `other` may be in the app's hands from now on.
    fn forbid_reuse(&self, other: &Tensor) {
        self.kept().map(|(_, tensor)| tensor).chain([&self.x, other]).for_each(Tensor::forbid_reuse);
    }

    /// Whether a forward by `plan` leaves the same.
    fn matches_plan(&self, plan: &Plan, spec: &NormSpec) -> bool {
        let same = |(binding, tensor): &(Binding, Tensor)| tensor.bytes() == plan.scratch.bytes(*binding);
        self.parts == plan.parts(spec) && self.scratch.iter().all(same)
    }
}

/// A gradient of a parameter.
struct ParameterGradient<'a> {
    parameter: Binding,
    /// The parameter's name, and the gradient's.
    of: &'static str,
    name: &'static str,
    gradient: Binding,
    tensor: &'a Option<Tensor>,
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
    fn parameters(&self) -> [ParameterGradient<'_>; 4] {
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

pub(super) const SAVING: Pass = Pass::Forward { saves: true };

impl GpuNorm {
    /// As [`forward_tensor`](Self::forward_tensor), and what [`backward`](Self::backward) needs. `x` must not be written
    /// before the backward has run.
    ///
    /// # Errors
    /// As [`forward_tensor`](Self::forward_tensor).
    pub fn forward_saved(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        self.check_gpu(x, "the input")?;
        let y = Tensor::uninitialized(&self.gpu, x.shape(), x.dtype())?;
        let mut encoder = self.gpu.checked().encoder(RUNNING_FORWARD)?;
        let saved = self.record_saved(&mut encoder, x, &y)?;
        self.gpu.checked().submit(encoder, RUNNING_FORWARD)?;
        Ok((y, saved))
    }

    /// As [`encode_forward`](Self::encode_forward), and what [`encode_backward`](Self::encode_backward) needs, which may be
    /// recorded into the same encoder. `x` must not be written before the backward has run.
    ///
    /// # Errors
    /// As [`encode_forward`](Self::encode_forward).
    pub fn encode_forward_saved(&self, encoder: &mut wgpu::CommandEncoder, x: &Tensor, y: &Tensor) -> Result<Saved> {
        let saved = self.record_saved(encoder, x, y)?;
        saved.forbid_reuse(y);
        Ok(saved)
    }

    /// Records the forward of `saved` once more: from what is in its input then, by what the parameters are then, into
    /// `y` and `saved` (and its clones), in the mode that it was in. For loops over tensors that stay: the first call for
    /// a `y` compiles and binds what it needs, later ones make nothing anew.
    ///
    /// # Errors
    /// [`Error::OtherLayer`]; of `y` those of [`encode_forward`](Self::encode_forward); [`Error::Strategy`] where
    /// [`set_strategy`](Self::set_strategy) has changed what a forward leaves. On an error nothing is recorded.
    pub fn encode_forward_again(&self, encoder: &mut wgpu::CommandEncoder, y: &Tensor, saved: &Saved) -> Result<()> {
        self.check_saved(saved)?;
        self.record_forward(encoder, y, saved, || {
            y.check(&self.gpu, "the output", saved.x.shape(), saved.x.dtype())?;
            let plan = self.plan_pass(&saved.geometry, saved.x.dtype(), SAVING)?;
            if saved.matches_plan(&plan, &self.spec) {
                Ok(plan)
            } else {
                Err(Error::Strategy { reason: "the saved forward ran by another".into() })
            }
        })?;
        saved.forbid_reuse(y);
        Ok(())
    }

    fn record_saved(&self, encoder: &mut wgpu::CommandEncoder, x: &Tensor, y: &Tensor) -> Result<Saved> {
        let (geometry, plan) = self.checked_plan(x, y, SAVING)?;
        let scratch = |&binding: &Binding| {
            let floats = usize::try_from(plan.scratch.bytes(binding) / 4).unwrap_or(usize::MAX);
            Ok((binding, Tensor::uninitialized(&self.gpu, &[floats], DType::F32)?))
        };
        let scratch = self.saved_scratch(&geometry).iter().map(scratch).collect::<Result<_>>()?;
        let mut used = vec![Binding::Weight];
        if geometry.source == Source::Running && !matches!(self.spec, NormSpec::Switchable(_)) {
            used.extend([Binding::RunningMean, Binding::RunningVar]);
        }
        let live = used.into_iter().filter_map(|binding| Some((binding, self.state.tensor(binding)?)));
        let copy = |(binding, live): (_, &Tensor)| {
            Ok((binding, Tensor::uninitialized(&self.gpu, live.shape(), live.dtype())?))
        };
        let copies = live.map(copy).collect::<Result<_>>()?;
        let (layer, mode, parts, x) = (self.identity.clone(), self.mode, plan.parts(&self.spec), x.clone());
        let saved = Saved { layer, mode, geometry, parts, x, scratch, copies };
        self.record_forward(encoder, y, &saved, || Ok(plan))?;
        Ok(saved)
    }

    fn record_forward(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        y: &Tensor,
        saved: &Saved,
        plan: impl FnOnce() -> Result<Plan>,
    ) -> Result<()> {
        let sliced = [(Binding::X, &saved.x), (Binding::Y, y)];
        let call = Call { mode: saved.mode, pass: SAVING, sliced: &sliced, kept: &saved.scratch };
        let dispatches = self.prepare_call(call, plan)?;
        // Nothing can fail from here on.
        for (binding, copy) in &saved.copies {
            self.state.tensor(*binding).iter().for_each(|live| live.record_copy(encoder, copy));
        }
        record(encoder, &dispatches, None);
        Ok(())
    }

    /// The scratch of a forward that its backward needs.
    fn saved_scratch(&self, geometry: &Geometry) -> &'static [Binding] {
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
        let dispatches = self.prepare_backward(dy, saved, &gradients)?;
        let mut encoder = self.gpu.checked().encoder(RUNNING_BACKWARD)?;
        self.record_backward(&mut encoder, &dispatches, &gradients);
        self.gpu.checked().submit(encoder, RUNNING_BACKWARD)?;
        Ok(gradients)
    }

    /// Records a backward into tensors of yours and nothing else. `dy` has the shape and element type of the forward's
    /// input; `gradients` has a tensor for every parameter that the layer has, and no other.
    ///
    /// # Errors
    /// [`Error::OtherLayer`], [`Error::OtherDevice`], [`Error::Shape`], [`Error::ElementType`], [`Error::NoGradient`],
    /// [`Error::NoParameter`], [`Error::Aliasing`], [`Error::BufferUnusable`], and [`Error::BufferUsage`] for an empty
    /// input whose gradients, which are then cleared, have buffers without `COPY_DST`. The device: [`Error::TooLarge`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`]. On an error nothing is recorded.
    pub fn encode_backward(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        dy: &Tensor,
        saved: &Saved,
        gradients: &Gradients,
    ) -> Result<()> {
        self.check_saved(saved)?;
        let dispatches = self.prepare_backward(dy, saved, gradients)?;
        saved.forbid_reuse(dy);
        gradients.named().into_iter().filter_map(|(_, tensor)| tensor).for_each(Tensor::forbid_reuse);
        self.record_backward(encoder, &dispatches, gradients);
        Ok(())
    }

    /// Runs a backward and gives the GPU time of each step, by kernel; runs nothing and gives `None` as
    /// [`profile`](Self::profile) does.
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
        self.gpu.checked().check_alive(PROFILING)?;
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
        if Arc::ptr_eq(&saved.layer, &self.identity) { Ok(()) } else { Err(Error::OtherLayer) }
    }

    fn prepare_backward(&self, dy: &Tensor, saved: &Saved, gradients: &Gradients) -> Result<Arc<[Dispatch]>> {
        // Which tensor is for what is not in the key of what is prepared.
        let parameters = gradients.parameters();
        for given in &parameters {
            match (self.state.tensor(given.parameter), given.tensor) {
                (Some(_), None) => return Err(Error::NoGradient { name: given.of }),
                (None, Some(_)) => return Err(Error::NoParameter { name: given.of }),
                _ => {}
            }
        }
        let pass = Pass::Backward { parts: saved.parts, accumulate: gradients.accumulate };
        let sliced = [(Binding::X, &saved.x), (Binding::Dy, dy), (Binding::Dx, &gradients.input)];
        let given = parameters.iter().filter_map(|given| Some((given.gradient, given.tensor.clone()?)));
        let kept: Vec<_> = saved.kept().cloned().chain(given).collect();
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
        let mut outputs = vec![&gradients.input];
        for given in gradients.parameters() {
            if let (Some(parameter), Some(gradient)) = (self.state.tensor(given.parameter), given.tensor) {
                gradient.check(&self.gpu, given.name, parameter.shape(), DType::F32)?;
                outputs.push(gradient);
            }
        }
        if saved.x.is_empty() && !gradients.accumulate {
            outputs.iter().try_for_each(|output| output.check_usage(wgpu::BufferUsages::COPY_DST))?;
        }
        Ok(())
    }

    fn record_backward(&self, encoder: &mut wgpu::CommandEncoder, dispatches: &[Dispatch], gradients: &Gradients) {
        if gradients.input.is_empty() && !gradients.accumulate {
            // Sums of nothing.
            for given in gradients.parameters() {
                given.tensor.iter().for_each(|gradient| gradient.record_clear(encoder));
            }
        }
        record(encoder, dispatches, None);
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
}
