//! Layers whose batch several processes share: each finds what it can of its share, they exchange that, and each goes on with what
//! is known of all.

use std::sync::Arc;

use super::begun::{Begun, Pending};
use super::call::Call;
use super::exchange::{Direction, Told};
use super::gradients::{Gradients, Wanted};
use super::halves::{AXIS_GRADIENTS, COEFFICIENTS, Halves, borrowed, owned, sums_of};
use super::norm::GpuNorm;
use super::pass::{RUNNING_BACKWARD, RUNNING_FORWARD};
use super::saved::Saved;
use crate::device::{Dispatch, Tensor};
use crate::error::{Error, Result};
use crate::group::ProcessGroup;
use crate::kernel::Binding;
use crate::plan::{Pass, Plan};
use crate::spec::geometry::{Geometry, SharedBatch};
use crate::spec::{Mode, NormSpec};

impl<'a> Call<'a> {
    /// As [`GpuNorm::begin_forward`].
    pub fn begin_forward(&self, x: &Tensor) -> Begun<'a, Tensor> {
        self.begin_forward_of(Ok(x.clone()))
    }

    /// The same of an input that may not have been made.
    pub(super) fn begin_forward_of(self, x: Result<Tensor>) -> Begun<'a, Tensor> {
        let Some((group, layer)) = self.shared() else { return Begun::done(x.and_then(|x| self.submit_forward(&x))) };
        let pending = x.and_then(|x| {
            self.norm.check_gpu(&x, "the input")?;
            let y = Tensor::uninitialized(&self.norm.gpu, x.shape(), x.dtype())?;
            self.first_half(layer, x, y.clone(), move || y)
        });
        Begun::of(group, pending)
    }

    /// As [`GpuNorm::begin_forward_into`].
    pub fn begin_forward_into(&self, x: &Tensor, y: &Tensor) -> Begun<'a, ()> {
        let Some((group, layer)) = self.shared() else { return Begun::done(self.submit_into(x, y)) };
        Begun::of(group, self.first_half(layer, x.clone(), y.clone(), || ()))
    }

    fn first_half<T: Send + 'a>(
        self,
        layer: u64,
        x: Tensor,
        y: Tensor,
        result: impl FnOnce() -> T + Send + 'a,
    ) -> Result<Pending<'a, T>> {
        let neighbours = self.neighbours(x.shape());
        let pass = Pass::Forward { saves: false, neighbours };
        let (geometry, plan) = self.checked_plan(&x, &y, pass)?;
        let (whole, like_input): (Vec<_>, Vec<_>) =
            self.beside.tensors().partition(|(binding, _)| neighbours.is_whole(*binding));
        let sliced = owned([(Binding::X, &x), (Binding::Y, &y)].into_iter().chain(like_input));
        let (halves, told) = self.halves(layer, pass, &plan, geometry, sliced, owned(whole))?;
        Pending::forward(halves, told, vec![], plan, move |halves, told| {
            halves.finish_forward(told, x.shape())?;
            Ok(result())
        })
    }

    /// As [`GpuNorm::begin_forward_saved`].
    pub fn begin_forward_saved(&self, x: &Tensor) -> Begun<'a, (Tensor, Saved)> {
        let call = *self;
        let Some((group, layer)) = self.norm.group_of_batch() else { return Begun::done(self.submit_saved(x)) };
        if self.mode == Mode::Evaluation {
            // Nothing is exchanged but that all evaluate.
            let told = Told::new(Direction::Forward, layer, &self.norm.spec, self.mode, 0);
            let (gpu, x) = (self.norm.gpu.clone(), x.clone());
            let second = Box::new(move |_, _| call.submit_saved(&x));
            let pending = Pending { gpu, told, reading: None, pack: <[u8]>::to_vec, second };
            return Begun::of(group, Ok(pending));
        }
        let pending = || {
            self.norm.check_gpu(x, "the input")?;
            let y = Tensor::uninitialized(&self.norm.gpu, x.shape(), x.dtype())?;
            let (mut saved, plan) = self.new_saved(x, &y)?;
            let [sliced, kept] = saved.bound(&y);
            let (geometry, first) = (saved.geometry, self.norm.copied(&saved)?);
            let (halves, told) = self.halves(layer, saved.pass(), &plan, geometry, owned(sliced), owned(kept))?;
            let x = x.clone();
            Pending::forward(halves, told, first, plan, move |halves, told| {
                saved.geometry = halves.finish_forward(told, x.shape())?;
                Ok((y, saved))
            })
        };
        Begun::of(group, pending())
    }

    /// The group of this call, if it exchanges with others, and the number of its layer there.
    fn shared(&self) -> Option<(&'a ProcessGroup, u64)> {
        self.norm.group_of_batch().filter(|_| self.mode == Mode::Training)
    }

    fn halves(
        &self,
        layer: u64,
        pass: Pass,
        plan: &Plan,
        geometry: Geometry,
        sliced: Vec<(Binding, Tensor)>,
        kept: Vec<(Binding, Tensor)>,
    ) -> Result<(Halves<'a>, Told)> {
        let norm = self.norm;
        let SharedBatch { values, .. } = geometry.shared.ok_or_else(nothing_shared)?;
        let told = Told::new(Direction::Forward, layer, &norm.spec, self.mode, values);
        let exchange = plan.exchange.clone().ok_or_else(nothing_shared)?;
        let layout = norm.layout(&borrowed(&sliced))?;
        let (mode, dtype, during) = (self.mode, sliced[0].1.dtype(), RUNNING_FORWARD);
        Ok((Halves { norm, mode, pass, geometry, dtype, layout, sliced, kept, exchange, during }, told))
    }
}

/// What cannot be.
fn nothing_shared() -> Error {
    Error::group("this pass shares no batch")
}

impl<'a, T> Pending<'a, T> {
    fn forward(
        mut halves: Halves<'a>,
        told: Told,
        first: Vec<Dispatch>,
        plan: Plan,
        second: impl FnOnce(Halves<'a>, &[Told]) -> Result<T> + Send + 'a,
    ) -> Result<Pending<'a, T>> {
        let reading = halves.first(first, plan)?;
        let gpu = halves.norm.gpu.clone();
        let second = Box::new(move |_, told: Vec<Told>| second(halves, &told));
        Ok(Pending { gpu, told, reading, pack: <[u8]>::to_vec, second })
    }
}

impl GpuNorm {
    /// Has the layer share its batch with the other processes of `group`, or with none: in training, batch norm, and switchable
    /// norm for its batch statistics, take mean and variance over the shares of all, and running statistics move by those, alike on
    /// all to the bit; a backward's dx goes through them. torch's `SyncBatchNorm`. Shares may be of different sizes, or empty. The
    /// parameters' gradients are those of this process's share, to be summed with the others' as all gradients of a network are.
    ///
    /// Calls in training, and saved ones in evaluation mode, are then collective: all processes make the same, in the same order, as
    /// they give the group to the same layers in the same order. What only records (`encode_forward`, `encode_backward` and their
    /// like, profiles) gives [`Error::Synchronized`]; a call that submits waits for the GPU and for the others, unless it is
    /// [begun](Self::begin_forward) and finished apart. A [`clone`](Self::try_clone) is of the same group, and a layer of its own.
    ///
    /// Layers without statistics of a batch have nothing to share, and instance norm's running statistics follow their own process.
    /// Forwards that were saved before are another layer's from now on.
    pub fn set_process_group(&mut self, group: Option<&ProcessGroup>) {
        self.group = group.map(|group| (group.clone(), group.next_layer()));
        self.identity = Arc::default();
        self.prepared.clear();
    }

    /// The processes that it shares its batch with.
    pub fn process_group(&self) -> Option<&ProcessGroup> {
        self.group.as_ref().map(|(group, _)| group)
    }

    /// The same, if it has statistics of the batch, and the number of the layer there.
    pub(super) fn group_of_batch(&self) -> Option<(&ProcessGroup, u64)> {
        let of_batch = match &self.spec {
            NormSpec::Batch(_) => true,
            NormSpec::Switchable(norm) => norm.batch,
            _ => false,
        };
        self.group.as_ref().filter(|_| of_batch).map(|(group, layer)| (group, *layer))
    }

    /// The first half of [`forward_tensor`](Self::forward_tensor), where the layer has a [group](Self::set_process_group): what is
    /// submitted before [`Begun::finish`] runs while the processes exchange.
    pub fn begin_forward(&self, x: &Tensor) -> Begun<'_, Tensor> {
        self.call().begin_forward(x)
    }

    /// The same into a tensor of yours, which may be `x` itself.
    pub fn begin_forward_into(&self, x: &Tensor, y: &Tensor) -> Begun<'_, ()> {
        self.call().begin_forward_into(x, y)
    }

    /// The first half of [`forward_saved`](Self::forward_saved).
    pub fn begin_forward_saved(&self, x: &Tensor) -> Begun<'_, (Tensor, Saved)> {
        self.call().begin_forward_saved(x)
    }

    /// The first half of [`backward_of`](Self::backward_of). Where the input's gradient is not wanted, there is nothing to exchange.
    pub fn begin_backward(&self, dy: &Tensor, saved: &Saved, wanted: Wanted) -> Begun<'_, Gradients> {
        let gradients = self.new_gradients(saved, wanted);
        let result = gradients.as_ref().ok().cloned().unwrap_or_default();
        self.begin_backward_to(dy, saved, gradients.as_ref(), result)
    }

    /// The same into tensors of yours, as [`encode_backward`](Self::encode_backward) does.
    pub fn begin_backward_into(&self, dy: &Tensor, saved: &Saved, gradients: &Gradients) -> Begun<'_, ()> {
        self.begin_backward_to(dy, saved, Ok(gradients), ())
    }

    fn begin_backward_to<'a, T: Send + 'a>(
        &'a self,
        dy: &Tensor,
        saved: &Saved,
        gradients: Result<&Gradients, &Error>,
        result: T,
    ) -> Begun<'a, T> {
        let gradients = gradients.map_err(Error::clone);
        let shared = self.group_of_batch().zip(saved.geometry.shared);
        // Collective are those that want dx, or that cannot be told what they want.
        let exchanges = gradients.as_ref().map_or(true, |gradients| gradients.exchanges());
        let Some(((group, layer), batch)) = shared.filter(|_| exchanges) else {
            let submit = |gradients| self.submit_backward(dy, saved, gradients).map(|()| result);
            return Begun::done(gradients.and_then(submit));
        };
        let pending = gradients.and_then(|gradients| {
            self.check_saved(saved)?;
            let (pass, sliced, kept) = self.bind_backward(dy, saved, gradients)?;
            let (first, plan) = self.planned_backward(dy, saved, gradients, pass, &sliced)?;
            let exchange = plan.exchange.clone().ok_or_else(nothing_shared)?;
            let layout = self.layout(&sliced)?;
            let (geometry, dtype, mode) = (saved.geometry, saved.x.dtype(), saved.mode);
            let (sliced, kept) = (owned(sliced), owned(kept));
            let (norm, during) = (self, RUNNING_BACKWARD);
            let mut halves = Halves { norm, mode, pass, geometry, dtype, layout, sliced, kept, exchange, during };
            let reading = halves.first(first, plan)?;
            let told = Told::new(Direction::Backward, layer, &self.spec, saved.mode, batch.values);
            let pack: fn(&[u8]) -> Vec<u8> = match self.spec {
                NormSpec::Switchable(_) => |read| sums_of(AXIS_GRADIENTS, read),
                _ => |read| sums_of(COEFFICIENTS, read),
            };
            let second = Box::new(move |own: Vec<u8>, told: Vec<Told>| {
                halves.finish_backward(&own, &told)?;
                Ok(result)
            });
            Ok(Pending { gpu: self.gpu.clone(), told, reading, pack, second })
        });
        Begun::of(group, pending)
    }
}
