//! The layer that users call.

use std::sync::Arc;
use std::time::Duration;

use ndarray::{Array, ArrayD, ArrayRef, Dimension};

use super::aliasing;
use super::encode::{Resources, prepare, record};
use super::prepared::{Dispatch, Prepared};
use super::state::State;
use super::state_dict::StateDict;
use crate::device::{Gpu, PROFILING, Tensor, Timestamps, bytes_of};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::Binding;
use crate::plan::{Pass, Plan, Strategy};
use crate::spec::geometry::Geometry;
use crate::spec::{Mode, NormSpec};

const FORWARD: Pass = Pass::Forward { saves: false };

// What errors say is done.
pub(super) const RUNNING_FORWARD: &str = "running a forward";
pub(super) const RUNNING_BACKWARD: &str = "running a backward";

/// A normalization layer on a GPU, with its parameters and running statistics. It starts in training mode, as torch's
/// modules do.
///
/// `forward` takes `&self`: several threads may run one layer, and its running statistics then move in the order in
/// which the queue received their work.
#[derive(Debug)]
pub struct GpuNorm {
    pub(super) gpu: Gpu,
    pub(super) spec: NormSpec,
    pub(super) mode: Mode,
    pub(super) strategy: Strategy,
    pub(super) state: State,
    pub(super) prepared: Arc<Prepared>,
    /// What saved forwards are known by.
    pub(super) identity: Arc<()>,
}

/// A pass and what it runs on.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) mode: Mode,
    pub(super) pass: Pass,
    /// Of the input's shape.
    pub(super) sliced: &'a [(Binding, &'a Tensor)],
    /// What is bound whole, before the layer's own.
    pub(super) kept: &'a [(Binding, Tensor)],
}

/// A forward that is recorded and not yet submitted.
struct RecordedForward<'a> {
    encoder: wgpu::CommandEncoder,
    output: Tensor,
    /// Dropped before the submission, its memory would be another tensor's.
    _input: &'a Tensor,
}

impl RecordedForward<'_> {
    fn submit(self) -> Result<Tensor> {
        self.output.gpu().checked().submit(self.encoder, RUNNING_FORWARD)?;
        Ok(self.output)
    }

    fn submit_and_read(self) -> Result<ArrayD<f32>> {
        pollster::block_on(self.output.read_after(self.encoder, RUNNING_FORWARD))
    }
}

impl GpuNorm {
    /// A layer with torch's initial values.
    ///
    /// # Errors
    /// Those of [`NormSpec::validate`]; [`Error::TooLarge`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn new(gpu: &Gpu, spec: impl Into<NormSpec>) -> Result<GpuNorm> {
        let spec = spec.into();
        spec.validate()?;
        let state = State::new(gpu, &spec)?;
        let (mode, strategy) = (Mode::Training, Strategy::default());
        let (prepared, identity) = Default::default();
        Ok(GpuNorm { gpu: gpu.clone(), spec, mode, strategy, state, prepared, identity })
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
        self.mode
    }

    /// From now on: the input's statistics, and running ones that move.
    pub fn train(&mut self) {
        self.mode = Mode::Training;
    }

    /// From now on: the running statistics, where the layer has them, and nothing moves.
    pub fn eval(&mut self) {
        self.mode = Mode::Evaluation;
    }

    /// Forces how forwards and backwards are planned, for tests and experiments.
    pub fn set_strategy(&mut self, strategy: Strategy) {
        self.strategy = strategy;
        self.prepared.clear();
    }

    /// The normalized array, of the same shape. Uploads, runs and reads the result back in one submission, and waits
    /// for it; in a browser, and to keep data on the GPU, use [`forward_tensor`](Self::forward_tensor).
    ///
    /// # Errors
    /// Those of [`encode_forward`](Self::encode_forward), and [`Error::OutOfMemory`].
    pub fn forward<D: Dimension>(&self, x: &ArrayRef<f32, D>) -> Result<Array<f32, D>> {
        Geometry::new(&self.spec, self.mode, x.shape())?;
        let input = Tensor::from_array(&self.gpu, x)?;
        let y = self.start(&input)?.submit_and_read()?;
        let (expected, found) = (x.shape().to_vec(), y.shape().to_vec());
        y.into_dimensionality().map_err(|_| Error::Shape { what: "the output", expected, found })
    }

    /// The normalized tensor, of the same shape and element type. One submission, no wait, no readback. Where a tensor
    /// of its size was dropped before, it gets that one's memory.
    ///
    /// # Errors
    /// Those of [`encode_forward`](Self::encode_forward), and [`Error::OutOfMemory`].
    pub fn forward_tensor(&self, x: &Tensor) -> Result<Tensor> {
        self.start(x)?.submit()
    }

    /// A forward of `x` into a new tensor, not yet submitted.
    fn start<'a>(&self, input: &'a Tensor) -> Result<RecordedForward<'a>> {
        self.check_gpu(input, "the input")?;
        let output = Tensor::uninitialized(&self.gpu, input.shape(), input.dtype())?;
        let dispatches = self.prepare(input, &output)?;
        let mut encoder = self.gpu.checked().encoder(RUNNING_FORWARD)?;
        record(&mut encoder, &dispatches, None);
        Ok(RecordedForward { encoder, output, _input: input })
    }

    /// Records a forward from `x` into `y` and nothing else: it runs when the app submits the encoder, and only then
    /// do running statistics move. `x` may have any rank that the layer takes, `y` has its shape and element type.
    ///
    /// The first call for a pair of tensors compiles and binds what it needs; later ones make nothing anew. They do not
    /// notice a lost device either: submitting does.
    ///
    /// # Errors
    /// The shape: [`Error::Rank`], [`Error::Channels`], [`Error::NormalizedShape`], [`Error::OneValue`],
    /// [`Error::EmptyInput`], [`Error::EpsSign`]. The tensors: [`Error::OtherDevice`], [`Error::Shape`],
    /// [`Error::ElementType`], [`Error::Aliasing`], [`Error::BufferUnusable`]. The device: [`Error::TooLarge`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`]. On an error nothing is recorded.
    pub fn encode_forward(&self, encoder: &mut wgpu::CommandEncoder, x: &Tensor, y: &Tensor) -> Result<()> {
        let dispatches = self.prepare(x, y)?;
        x.forbid_reuse();
        y.forbid_reuse();
        record(encoder, &dispatches, None);
        Ok(())
    }

    /// What a forward of an f32 input of this shape runs in the current mode, and why.
    ///
    /// # Errors
    /// Those of [`encode_forward`](Self::encode_forward) that a shape can have.
    pub fn plan(&self, shape: &[usize]) -> Result<Plan> {
        self.plan_as(shape, DType::F32)
    }

    pub(super) fn plan_as(&self, shape: &[usize], dtype: DType) -> Result<Plan> {
        self.plan_pass(&self.geometry(shape, dtype)?, dtype, FORWARD)
    }

    /// Of an input that a tensor can be.
    pub(super) fn geometry(&self, shape: &[usize], dtype: DType) -> Result<Geometry> {
        let geometry = Geometry::new(&self.spec, self.mode, shape)?;
        bytes_of(&self.gpu, shape, dtype)?;
        Ok(geometry)
    }

    pub(super) fn plan_pass(&self, geometry: &Geometry, dtype: DType, pass: Pass) -> Result<Plan> {
        Plan::new(&self.spec, geometry, dtype, self.gpu.caps(), self.strategy, pass)
    }

    /// Runs a forward and gives the GPU time of each step, by kernel. Runs nothing and gives `None` where the device has no
    /// timestamps or there is nothing to dispatch.
    ///
    /// # Errors
    /// Those of [`encode_forward`](Self::encode_forward).
    pub fn profile(&self, x: &Tensor, y: &Tensor) -> Result<Option<Vec<(&'static str, Duration)>>> {
        self.gpu.checked().check_alive(PROFILING)?;
        self.profile_of(&self.prepare(x, y)?)
    }

    pub(super) fn profile_of(&self, dispatches: &[Dispatch]) -> Result<Option<Vec<(&'static str, Duration)>>> {
        let Some(timestamps) = Timestamps::new(&self.gpu, dispatches.len())? else { return Ok(None) };
        let mut encoder = self.gpu.checked().encoder(PROFILING)?;
        record(&mut encoder, dispatches, Some(&timestamps));
        let times = timestamps.finish(&self.gpu, encoder)?;
        Ok(Some(dispatches.iter().map(|step| step.name).zip(times).collect()))
    }

    /// The dispatches of a forward from `x` to `y`.
    fn prepare(&self, x: &Tensor, y: &Tensor) -> Result<Arc<[Dispatch]>> {
        let sliced = [(Binding::X, x), (Binding::Y, y)];
        let call = Call { mode: self.mode, pass: FORWARD, sliced: &sliced, kept: &[] };
        self.prepare_call(call, || Ok(self.checked_plan(x, y, FORWARD)?.1))
    }

    /// The dispatches of a call. What was checked and prepared before is found again.
    pub(super) fn prepare_call(&self, call: Call, plan: impl FnOnce() -> Result<Plan>) -> Result<Arc<[Dispatch]>> {
        let Call { mode, pass, sliced, kept } = call;
        let tensors = sliced.iter().map(|&(_, tensor)| tensor).chain(kept.iter().map(|(_, tensor)| tensor));
        if let Some(dispatches) = self.prepared.get(mode, pass, tensors.clone()) {
            return Ok(dispatches);
        }
        let own = |binding| kept.iter().find(|(kept, _)| *kept == binding).map(|(_, tensor)| tensor);
        let whole = |binding| own(binding).or_else(|| self.state.tensor(binding));
        let plan = plan()?;
        let during = match pass {
            Pass::Forward { .. } => RUNNING_FORWARD,
            Pass::Backward { .. } => RUNNING_BACKWARD,
        };
        let bound = sliced.iter().copied().chain(kept.iter().map(|(binding, tensor)| (*binding, tensor)));
        aliasing::check(&plan, &bound.chain(self.state.tensors()).collect::<Vec<_>>())?;
        let dispatches = prepare(&self.gpu, &plan, &Resources { sliced, whole: &whole }, during)?;
        self.prepared.put(mode, pass, tensors, dispatches.clone());
        Ok(dispatches)
    }

    pub(super) fn check_gpu(&self, tensor: &Tensor, what: &'static str) -> Result<()> {
        if tensor.gpu().is(&self.gpu) { Ok(()) } else { Err(Error::OtherDevice { what }) }
    }

    pub(super) fn checked_plan(&self, x: &Tensor, y: &Tensor, pass: Pass) -> Result<(Geometry, Plan)> {
        self.check_gpu(x, "the input")?;
        self.check_gpu(y, "the output")?;
        let geometry = Geometry::new(&self.spec, self.mode, x.shape())?;
        let plan = self.plan_pass(&geometry, x.dtype(), pass)?;
        y.check(&self.gpu, "the output", x.shape(), x.dtype())?;
        Ok((geometry, plan))
    }

    /// Weight 1, bias 0, switchable norm's weights equal; and [`reset_running_stats`](Self::reset_running_stats).
    ///
    /// # Errors
    /// [`Error::BufferUnusable`], [`Error::OutOfMemory`], [`Error::DeviceLost`]; nothing is reset then.
    pub fn reset_parameters(&mut self) -> Result<()> {
        self.state.reset(&self.gpu, true)
    }

    /// Running mean 0, running variance 1, no batches tracked.
    ///
    /// # Errors
    /// [`Error::BufferUnusable`], [`Error::OutOfMemory`], [`Error::DeviceLost`]; nothing is reset then.
    pub fn reset_running_stats(&mut self) -> Result<()> {
        self.state.reset(&self.gpu, false)
    }

    /// Loads parameters and running statistics from the keys that begin with `prefix`, which must be the layer's and
    /// of its shapes; only `num_batches_tracked` may be missing, and is then kept. Switchable norm also takes the
    /// shapes of the authors' checkpoints, with extra dimensions of 1.
    ///
    /// # Errors
    /// [`Error::MissingKey`], [`Error::UnexpectedKeys`], [`Error::KeyShape`], [`Error::Counter`],
    /// [`Error::BufferUnusable`], [`Error::OutOfMemory`], [`Error::DeviceLost`]; nothing is loaded then.
    pub fn load_state_dict(&mut self, state: &StateDict, prefix: &str) -> Result<()> {
        self.state.load(&self.gpu, state, prefix)
    }

    /// Parameters and running statistics under torch's names behind `prefix`. Waits for the work before it; in a
    /// browser use [`read_state_dict`](Self::read_state_dict).
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`].
    pub fn state_dict(&self, prefix: &str) -> Result<StateDict> {
        pollster::block_on(self.read_state_dict(prefix))
    }

    /// As [`state_dict`](Self::state_dict), without blocking in a browser.
    ///
    /// # Errors
    /// As [`state_dict`](Self::state_dict).
    pub async fn read_state_dict(&self, prefix: &str) -> Result<StateDict> {
        self.state.read(&self.gpu, prefix).await
    }
}
