//! Training: a forward that saves what its backward needs, and the backward.

use std::sync::Arc;
use std::time::Duration;

use super::call::Call;
use super::gradients::{Gradients, Wanted};
use super::names::name;
use super::norm::GpuNorm;
use super::pass::{BoundPass, RUNNING_BACKWARD, RUNNING_FORWARD};
use super::prepared::Half;
use super::saved::Saved;
use crate::device::{Dispatch, PROFILING, Recorder, Tensor, copies, record, zeros};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::Binding;
use crate::plan::{Gradient, Layout, Neighbours, Pass, Plan, Scratch};
use crate::spec::geometry::Source;
use crate::spec::{Activation, NormSpec};

/// Tensors by what they bind to.
pub(super) type Tensors<'t> = Vec<(Binding, &'t Tensor)>;

/// What a modulated forward leaves of its parameters.
const FOLDED: [Binding; 3] = [Binding::FoldedWeight, Binding::FoldedBias, Binding::FoldedScale];

impl Call<'_> {
    /// As [`GpuNorm::forward_saved`].
    ///
    /// # Errors
    /// As [`GpuNorm::forward_saved`].
    pub fn forward_saved(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        #[cfg(not(target_arch = "wasm32"))]
        if self.norm.group_of_batch().is_some() {
            return self.begin_forward_saved(x).finish();
        }
        self.submit_saved(x)
    }

    /// Without others to exchange with.
    pub(super) fn submit_saved(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        self.norm.check_gpu(x, "the input")?;
        let y = Tensor::uninitialized(&self.norm.gpu, x.shape(), x.dtype())?;
        let mut encoder = self.norm.gpu.checked().encoder(RUNNING_FORWARD)?;
        let saved = self.record_saved(&mut encoder, x, &y)?;
        self.norm.gpu.checked().submit(encoder, RUNNING_FORWARD)?;
        Ok((y, saved))
    }

    /// As [`GpuNorm::encode_forward_saved`].
    ///
    /// # Errors
    /// As [`GpuNorm::encode_forward_saved`].
    pub fn encode_forward_saved(&self, to: &mut impl Recorder, x: &Tensor, y: &Tensor) -> Result<Saved> {
        let saved = self.record_saved(to, x, y)?;
        saved.forbid_reuse(y);
        Ok(saved)
    }

    fn record_saved(&self, to: &mut impl Recorder, x: &Tensor, y: &Tensor) -> Result<Saved> {
        let (saved, plan) = self.new_saved(x, y)?;
        self.norm.record_forward(to, y, &saved, || Ok(plan))?;
        Ok(saved)
    }

    /// What a forward from `x` to `y` saves, once it has run, and its plan.
    pub(super) fn new_saved(&self, x: &Tensor, y: &Tensor) -> Result<(Saved, Plan)> {
        self.norm.check_gpu(x, "the input")?;
        self.geometry(x.shape(), x.dtype())?;
        let neighbours = self.neighbours(x.shape());
        // A backward takes the sum, wanted by others or not.
        let mut beside: Vec<_> = self.beside.tensors().map(|(binding, tensor)| (binding, tensor.clone())).collect();
        if neighbours.add_before && !neighbours.keeps_sum {
            beside.push((Binding::KeptSum, Tensor::uninitialized(&self.norm.gpu, x.shape(), x.dtype())?));
        }
        let neighbours = Neighbours { keeps_sum: neighbours.add_before, ..neighbours };
        let pass = Pass::Forward { saves: true, neighbours };
        let (geometry, plan) = self.checked_plan(x, y, pass)?;
        let scratch = |&binding: &Binding| {
            let floats = usize::try_from(plan.scratch.bytes(binding) / 4).unwrap_or(usize::MAX);
            Ok((binding, Tensor::uninitialized(&self.norm.gpu, &[floats], DType::F32)?))
        };
        let modulated = neighbours.modulation.is_some();
        let folded: &[Binding] = if modulated { &FOLDED } else { &[] };
        let scratch = Scratch::saved(&self.norm.spec, geometry.source).iter().chain(folded).map(scratch);
        let mut used = vec![Binding::Weight];
        if modulated || self.norm.spec.activation() != Activation::Identity {
            used.push(Binding::Bias);
        }
        if geometry.source == Source::Running && !matches!(self.norm.spec, NormSpec::Switchable(_)) {
            used.extend([Binding::RunningMean, Binding::RunningVar]);
        }
        let live = used.into_iter().filter_map(|binding| Some((binding, self.norm.state.tensor(binding)?)));
        let copy = |(binding, live): (_, &Tensor)| {
            Ok((binding, Tensor::uninitialized(&self.norm.gpu, live.shape(), live.dtype())?))
        };
        let kept = scratch.chain(live.map(copy)).collect::<Result<_>>()?;
        let (layer, mode, parts, x) = (self.norm.identity.clone(), self.mode, plan.parts(&self.norm.spec), x.clone());
        Ok((Saved { layer, mode, geometry, neighbours, parts, x, beside, kept }, plan))
    }
}

impl GpuNorm {
    /// As [`forward_tensor`](Self::forward_tensor), and what [`backward`](Self::backward) needs. `x`, and what a [`Call`] took
    /// along, must not be written before the backward has run.
    ///
    /// # Errors
    /// As [`forward_tensor`](Self::forward_tensor).
    pub fn forward_saved(&self, x: &Tensor) -> Result<(Tensor, Saved)> {
        self.call().forward_saved(x)
    }

    /// As [`encode_forward`](Self::encode_forward), and what [`encode_backward`](Self::encode_backward) needs, which may be
    /// recorded into the same encoder or pass. `x` must not be written before the backward has run.
    ///
    /// # Errors
    /// As [`encode_forward`](Self::encode_forward), and [`Error::SavedInPlace`] where `y` is `x`.
    pub fn encode_forward_saved(&self, to: &mut impl Recorder, x: &Tensor, y: &Tensor) -> Result<Saved> {
        self.call().encode_forward_saved(to, x, y)
    }

    /// Records the forward of `saved` once more: from what is in its input then, by what the parameters are then, into
    /// `y` and `saved` (and its clones), in the mode that it was in. For loops over tensors that stay, whose first step is
    /// [`encode_forward_saved`](Self::encode_forward_saved): the first call for a `y` compiles and binds what it needs, later ones
    /// make nothing anew.
    ///
    /// # Errors
    /// [`Error::OtherLayer`]; of `y` those of [`encode_forward`](Self::encode_forward); [`Error::Strategy`] where
    /// [`set_strategy`](Self::set_strategy) has changed what a forward leaves. On an error nothing is recorded.
    pub fn encode_forward_again(&self, to: &mut impl Recorder, y: &Tensor, saved: &Saved) -> Result<()> {
        self.check_saved(saved)?;
        self.record_forward(to, y, saved, || {
            y.check_strided(&self.gpu, "the output", saved.x.shape(), saved.x.dtype())?;
            let layout = self.layout(&[(Binding::X, &saved.x), (Binding::Y, y)])?;
            let plan = self.plan_pass(&saved.geometry, saved.x.dtype(), saved.pass(), layout)?;
            if saved.matches_plan(&plan, &self.spec) {
                Ok(plan)
            } else {
                Err(Error::Strategy { reason: "the saved forward ran by another".into() })
            }
        })?;
        saved.forbid_reuse(y);
        Ok(())
    }

    fn record_forward(
        &self,
        to: &mut impl Recorder,
        y: &Tensor,
        saved: &Saved,
        plan: impl FnOnce() -> Result<Plan>,
    ) -> Result<()> {
        let [sliced, kept] = saved.bound(y);
        let (mode, pass, half) = (saved.mode, saved.pass(), Half::Both);
        let bound = BoundPass { mode, pass, half, sliced: &sliced, kept: &kept };
        let plan = || {
            let plan = plan()?;
            Ok((self.copied(saved)?, plan))
        };
        record(to, &self.prepare_pass(bound, plan)?);
        Ok(())
    }

    /// What copies the layer's arrays to where a saved forward has them.
    pub(super) fn copied(&self, saved: &Saved) -> Result<Vec<Dispatch>> {
        let of_layer = saved.kept().filter_map(|(binding, copy)| Some((self.state.tensor(binding)?, copy)));
        copies(of_layer, RUNNING_FORWARD)
    }

    /// The gradients of a loss by the input and the parameters of a forward, from the loss's gradient `dy` by its output.
    /// One submission, no wait.
    ///
    /// # Errors
    /// Those of [`encode_backward`](Self::encode_backward), and [`Error::OutOfMemory`].
    pub fn backward(&self, dy: &Tensor, saved: &Saved) -> Result<Gradients> {
        self.backward_of(dy, saved, Wanted::All)
    }

    /// As [`backward`](Self::backward), of the gradients that are wanted: the others are `None`, and nothing is computed for
    /// them alone.
    ///
    /// # Errors
    /// As [`backward`](Self::backward).
    pub fn backward_of(&self, dy: &Tensor, saved: &Saved, wanted: Wanted) -> Result<Gradients> {
        #[cfg(not(target_arch = "wasm32"))]
        if saved.geometry.shared.is_some() {
            return self.begin_backward(dy, saved, wanted).finish();
        }
        let gradients = self.new_gradients(saved, wanted)?;
        self.submit_backward(dy, saved, &gradients)?;
        Ok(gradients)
    }

    /// Tensors for those that are wanted.
    pub(super) fn new_gradients(&self, saved: &Saved, wanted: Wanted) -> Result<Gradients> {
        self.check_saved(saved)?;
        let new = |tensor: &Tensor, dtype| Tensor::uninitialized(&self.gpu, tensor.shape(), dtype);
        self.gradients_by(saved, wanted, new)
    }

    /// Without others to exchange with.
    pub(super) fn submit_backward(&self, dy: &Tensor, saved: &Saved, gradients: &Gradients) -> Result<()> {
        self.check_saved(saved)?;
        let dispatches = self.prepare_backward(dy, saved, gradients)?;
        let mut encoder = self.gpu.checked().encoder(RUNNING_BACKWARD)?;
        record(&mut encoder, &dispatches);
        self.gpu.checked().submit(encoder, RUNNING_BACKWARD)
    }

    /// Records a backward into tensors of yours and nothing else. `dy` has the shape and element type of the forward's
    /// input; `gradients` has a tensor for whatever is wanted, and for nothing that the layer has not. The input's may be `dy`
    /// itself, unless it is added to what is there; of layer and RMS norm both may be [strided](Tensor::as_strided).
    ///
    /// # Errors
    /// [`Error::OtherLayer`], [`Error::OtherDevice`], [`Error::Shape`], [`Error::ElementType`],
    /// [`Error::NoParameter`], [`Error::Strides`], [`Error::Aliasing`], [`Error::BufferUnusable`]. The device: [`Error::TooLarge`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`]. [`Error::Synchronized`] of a forward whose batch processes share. On an error nothing
    /// is recorded.
    pub fn encode_backward(
        &self,
        to: &mut impl Recorder,
        dy: &Tensor,
        saved: &Saved,
        gradients: &Gradients,
    ) -> Result<()> {
        self.check_saved(saved)?;
        let dispatches = self.prepare_backward(dy, saved, gradients)?;
        saved.forbid_reuse(dy);
        gradients.tensors().for_each(Tensor::forbid_reuse);
        record(to, &dispatches);
        Ok(())
    }

    /// Runs a backward and gives the GPU time of each step, by kernel; runs nothing and gives `None` as
    /// [`profile_async`](Self::profile_async) does. `profile_backward(dy, saved, gradients)` blocks for it, outside of browsers.
    ///
    /// # Errors
    /// Those of [`encode_backward`](Self::encode_backward).
    pub async fn profile_backward_async(
        &self,
        dy: &Tensor,
        saved: &Saved,
        gradients: &Gradients,
    ) -> Result<Option<Vec<(&'static str, Duration)>>> {
        self.check_saved(saved)?;
        self.gpu.checked().check_alive(PROFILING)?;
        self.profile_of(&self.prepare_backward(dy, saved, gradients)?).await
    }

    /// Gradients of the right shapes, all 0: to accumulate into, from this forward and from any other of inputs of its shape.
    ///
    /// # Errors
    /// [`Error::OtherLayer`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn zero_gradients(&self, saved: &Saved) -> Result<Gradients> {
        self.check_saved(saved)?;
        let zeros = |tensor: &Tensor, dtype| Tensor::zeros(&self.gpu, tensor.shape(), dtype);
        self.gradients_by(saved, Wanted::All, zeros)
    }

    /// Each gradient that is wanted, as `like` makes it from what it is of and its element type.
    fn gradients_by(
        &self,
        saved: &Saved,
        wanted: Wanted,
        like: impl Fn(&Tensor, DType) -> Result<Tensor>,
    ) -> Result<Gradients> {
        let of = |binding| match wanted {
            Wanted::Input => Ok(None),
            _ => self.state.tensor(binding).map(|parameter| like(parameter, DType::F32)).transpose(),
        };
        let beside = |binding| saved.beside(binding).filter(|_| wanted != Wanted::Parameters);
        Ok(Gradients {
            input: (wanted != Wanted::Parameters).then(|| like(&saved.x, saved.x.dtype())).transpose()?,
            weight: of(Binding::Weight)?,
            bias: of(Binding::Bias)?,
            mean_weight: of(Binding::MeanWeight)?,
            var_weight: of(Binding::VarWeight)?,
            add_after: beside(Binding::AddAfter).map(|c| like(c, c.dtype())).transpose()?,
            add_before: beside(Binding::AddBefore)
                .filter(|_| saved.neighbours.by_channel.is_some())
                .map(|a| like(a, DType::F32))
                .transpose()?,
            scale: beside(Binding::ModulationScale).map(|scale| like(scale, DType::F32)).transpose()?,
            shift: beside(Binding::ModulationShift).map(|shift| like(shift, DType::F32)).transpose()?,
            ..Gradients::default()
        })
    }

    pub(super) fn check_saved(&self, saved: &Saved) -> Result<()> {
        if Arc::ptr_eq(&saved.layer, &self.identity) { Ok(()) } else { Err(Error::OtherLayer) }
    }

    fn prepare_backward(&self, dy: &Tensor, saved: &Saved, gradients: &Gradients) -> Result<Arc<[Dispatch]>> {
        let (pass, sliced, kept) = self.bind_backward(dy, saved, gradients)?;
        let bound = BoundPass { mode: saved.mode, pass, half: Half::Both, sliced: &sliced, kept: &kept };
        self.prepare_pass(bound, || self.planned_backward(dy, saved, gradients, pass, &sliced))
    }

    /// The pass of a backward, and what it binds: in slices, and whole.
    pub(super) fn bind_backward<'t>(
        &self,
        dy: &'t Tensor,
        saved: &'t Saved,
        gradients: &'t Gradients,
    ) -> Result<(Pass, Tensors<'t>, Tensors<'t>)> {
        let mut parameters = gradients.parameters();
        if let Some((unknown, ..)) = parameters.find(|(parameter, ..)| self.state.tensor(*parameter).is_none()) {
            return Err(Error::NoParameter { name: name(unknown) });
        }
        let [input, stored] = gradients.stored();
        let (parts, neighbours) = (saved.parts, saved.neighbours);
        let (modulation, addend) =
            (gradients.scale.is_some() || gradients.shift.is_some(), gradients.add_before.is_some());
        let pass = Pass::Backward { parts, input, parameters: stored, modulation, addend, neighbours };
        let through_activation = self.spec.activation() != Activation::Identity;
        let mut sliced = vec![(Binding::X, saved.normalized())];
        sliced.push((if through_activation { Binding::OutputGradient } else { Binding::Dy }, dy));
        sliced.extend(gradients.input.as_ref().map(|dx| (Binding::Dx, dx)));
        // What other steps take as dy is the gradient of what was added after; without an activation it is dy itself.
        let of_added = if through_activation { Binding::Dy } else { Binding::AddAfterGradient };
        sliced.extend(gradients.add_after.as_ref().map(|dc| (of_added, dc)));
        if through_activation {
            sliced.extend(saved.beside(Binding::AddAfter).map(|c| (Binding::AddAfter, c)));
        }
        let given = gradients.parameters().chain(gradients.of_samples());
        let given = given.map(|(_, gradient, tensor)| (gradient, tensor));
        Ok((pass, sliced, saved.kept().chain(given).collect()))
    }

    /// The plan of a backward that has been checked, and what is done before it.
    pub(super) fn planned_backward(
        &self,
        dy: &Tensor,
        saved: &Saved,
        gradients: &Gradients,
        pass: Pass,
        sliced: &[(Binding, &Tensor)],
    ) -> Result<(Vec<Dispatch>, Plan)> {
        self.check_backward(dy, saved, gradients)?;
        // No step writes the sums of nothing.
        let replaced = gradients.stored()[1] == Gradient::Replaced;
        let parameters = gradients.parameters().filter(|_| saved.x.is_empty() && replaced);
        let of_samples = gradients.of_samples().filter(|_| saved.x.is_empty());
        let mut first = zeros(parameters.chain(of_samples).map(|(.., tensor)| tensor), RUNNING_BACKWARD)?;
        let through_activation = self.spec.activation() != Activation::Identity;
        let same = gradients.add_after.as_ref().filter(|_| !through_activation).map(|dc| (dy, dc));
        first.extend(copies(same, RUNNING_BACKWARD)?);
        let layout = self.layout(sliced)?;
        Ok((first, self.plan_pass(&saved.geometry, saved.x.dtype(), pass, layout)?))
    }

    fn check_backward(&self, dy: &Tensor, saved: &Saved, gradients: &Gradients) -> Result<()> {
        let (shape, dtype) = (saved.x.shape(), saved.x.dtype());
        dy.check_strided(&self.gpu, "dy", shape, dtype)?;
        gradients.input.iter().try_for_each(|dx| dx.check_strided(&self.gpu, "the input's gradient", shape, dtype))?;
        if let Some(dc) = &gradients.add_after {
            if saved.beside(Binding::AddAfter).is_none() {
                return Err(Error::NoParameter { name: "tensor added after" });
            }
            dc.check(&self.gpu, "the gradient of what was added after", shape, dtype)?;
        }
        for (given, gradient, tensor) in gradients.of_samples() {
            let there = saved.beside(given).filter(|_| saved.neighbours.is_whole(given));
            let given = there.ok_or(Error::NoParameter { name: name(given) })?;
            tensor.check(&self.gpu, name(gradient), given.shape(), DType::F32)?;
        }
        for (parameter, gradient, tensor) in gradients.parameters() {
            if let Some(parameter) = self.state.tensor(parameter) {
                tensor.check(&self.gpu, name(gradient), parameter.shape(), DType::F32)?;
            }
        }
        Ok(())
    }

    /// What a backward of a forward like `saved` runs, and why.
    ///
    /// # Errors
    /// [`Error::OtherLayer`], [`Error::TooLarge`], [`Error::Strategy`].
    pub fn plan_backward(&self, saved: &Saved) -> Result<Plan> {
        self.check_saved(saved)?;
        let (input, parameters) = (Gradient::Replaced, Gradient::Replaced);
        let (parts, neighbours) = (saved.parts, saved.neighbours);
        let (modulation, addend) = (neighbours.modulation.is_some(), neighbours.by_channel.is_some());
        let pass = Pass::Backward { parts, input, parameters, modulation, addend, neighbours };
        self.plan_pass(&saved.geometry, saved.x.dtype(), pass, Layout::default())
    }
}
