//! Forwards: of arrays, of tensors, into an app's encoder.

use std::sync::Arc;
use std::time::Duration;

use ndarray::{Array, ArrayD, ArrayRef, Dimension};

use super::beside::{Beside, ScaleShift};
use super::norm::GpuNorm;
use super::pass::{BoundPass, RUNNING_FORWARD};
use super::prepared::Half;
use crate::device::{Dispatch, PROFILING, Recorder, Tensor, bytes_of, record};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::Binding;
use crate::plan::{Layout, Neighbours, Pass, Plan};
use crate::spec::Mode;
use crate::spec::geometry::Geometry;

/// A call of a layer that is still to be made, in a mode of its own: nothing else can change it, and it changes no other. It
/// takes along what stands beside the norm, in the norm's own pass over memory: with everything said,
///
/// `y = activation((norm(x + a)·scale + shift) + c)`,
///
/// where the activation is the layer's ([`BatchNorm::activation`](crate::BatchNorm::activation) and its like). All of it is
/// computed in f32; `x + a` is rounded to the activations' type, as if it were stored.
///
/// ```
/// # use gpunorm::{BatchNorm, Gpu, GpuNorm, Mode, Tensor};
/// # fn evaluated(norm: &GpuNorm, x: &Tensor, skip: &Tensor) -> gpunorm::Result<Tensor> {
/// norm.call().mode(Mode::Evaluation).add_after(skip).forward_tensor(x)
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "a call does nothing before one of its methods runs, records or plans it"]
pub struct Call<'a> {
    pub(super) norm: &'a GpuNorm,
    pub(super) mode: Mode,
    pub(super) beside: Beside<'a>,
}

/// A forward that is recorded and not yet submitted.
struct RecordedForward {
    encoder: wgpu::CommandEncoder,
    output: Tensor,
    /// Dropped before the submission, its memory would be another tensor's.
    _input: Tensor,
}

impl RecordedForward {
    fn submit(self) -> Result<Tensor> {
        self.output.gpu().checked().submit(self.encoder, RUNNING_FORWARD)?;
        Ok(self.output)
    }

    async fn submit_and_read(self) -> Result<ArrayD<f32>> {
        self.output.read_after(self.encoder, RUNNING_FORWARD).await
    }
}

impl GpuNorm {
    /// A call in the mode that the layer is in now.
    pub fn call(&self) -> Call<'_> {
        Call { norm: self, mode: self.mode(), beside: Beside::default() }
    }

    /// The normalized array, of the same shape: uploads, runs and reads the result back in one submission. `forward(x)` blocks
    /// for it, outside of browsers. To keep data on the GPU, use [`forward_tensor`](Self::forward_tensor).
    ///
    /// # Errors
    /// Those of [`encode_forward`](Self::encode_forward), and [`Error::OutOfMemory`].
    pub async fn forward_async<D: Dimension>(&self, x: &ArrayRef<f32, D>) -> Result<Array<f32, D>> {
        self.call().forward_async(x).await
    }

    /// The normalized tensor, of the same shape and element type. One submission, no wait, no readback. Where a tensor
    /// of its size was dropped before, it gets that one's memory.
    ///
    /// # Errors
    /// Those of [`encode_forward`](Self::encode_forward), and [`Error::OutOfMemory`].
    pub fn forward_tensor(&self, x: &Tensor) -> Result<Tensor> {
        self.call().forward_tensor(x)
    }

    /// The normalized values in the place of the tensor's own: every norm, in every mode. One submission, no wait. A
    /// [saved](Self::forward_saved) forward has to leave its input, and has an output of its own.
    ///
    /// # Errors
    /// Those of [`encode_forward`](Self::encode_forward).
    pub fn forward_in_place(&self, x: &Tensor) -> Result<()> {
        self.call().forward_in_place(x)
    }

    /// Records a forward from `x` into `y` and nothing else, into an encoder or into a compute pass that the app has open: it
    /// runs when the app submits the encoder, and only then do running statistics move. `x` may have any rank that the layer takes, `y` has its shape and element type.
    /// `y` may be `x` itself, or a clone: the forward then runs in place. Of layer and RMS norm, both may be
    /// [strided](Tensor::as_strided), and differently; no two tensors of a pass may be parts of one buffer, if one of them is written.
    ///
    /// The first call for a pair of tensors compiles and binds what it needs; later ones make nothing anew. They do not
    /// notice a lost device either: submitting does.
    ///
    /// # Errors
    /// The shape: [`Error::Rank`], [`Error::Channels`], [`Error::NormalizedShape`], [`Error::OneValue`],
    /// [`Error::EmptyInput`], [`Error::EpsSign`]. The tensors: [`Error::OtherDevice`], [`Error::Shape`],
    /// [`Error::ElementType`], [`Error::Strides`], [`Error::Aliasing`], [`Error::BufferUnusable`]. What a [`Call`] takes along, likewise, and
    /// [`Error::Neighbour`]. The device: [`Error::TooLarge`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`]. [`Error::Strategy`] for one that was forced.
    /// [`Error::Synchronized`] in training, where the layer shares its batch with other processes. On an error nothing is
    /// recorded.
    pub fn encode_forward(&self, to: &mut impl Recorder, x: &Tensor, y: &Tensor) -> Result<()> {
        self.call().encode_forward(to, x, y)
    }

    /// What a forward of an input of this shape and element type runs in the current mode, and why.
    ///
    /// # Errors
    /// Those of [`encode_forward`](Self::encode_forward) that a shape can have.
    pub fn plan(&self, shape: &[usize], dtype: DType) -> Result<Plan> {
        self.call().plan(shape, dtype)
    }

    /// Runs a forward, which in training moves the running statistics, and gives the GPU time of each step, by kernel. Runs
    /// nothing and gives `None` where the device has no timestamps or there is nothing to dispatch. `profile(x, y)` blocks for
    /// it, outside of browsers.
    ///
    /// # Errors
    /// Those of [`encode_forward`](Self::encode_forward).
    pub async fn profile_async(&self, x: &Tensor, y: &Tensor) -> Result<Option<Vec<(&'static str, Duration)>>> {
        self.call().profile_async(x, y).await
    }
}

impl<'a> Call<'a> {
    /// The same in this mode.
    pub fn mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// `x + a` is normalized instead of `x`: a transformer's residual. `a` has the input's shape and element type; or, of norms by
    /// channel, is `[N, C]`, a value for each sample's channel: what a diffusion net's time step adds.
    pub fn add_before(mut self, a: &'a Tensor) -> Self {
        self.beside.add_before = Some(a);
        self
    }

    /// `x + a` is also written to `sum`, of the input's shape and element type: the residual that goes on.
    pub fn keep_sum(mut self, sum: &'a Tensor) -> Self {
        self.beside.kept_sum = Some(sum);
        self
    }

    /// The norm's output, with its own weight and bias, becomes `z·(1 + scale) + shift`, by sample: adaptive layer norm (Peebles &
    /// Xie 2023, arXiv:2212.09748). Both are of shape `[N, C]`, of layer and RMS norm `[N, *normalized_shape]` for inputs `[N, ..]`,
    /// and f32 or of the input's element type.
    pub fn modulate(mut self, scale: &'a Tensor, shift: &'a Tensor) -> Self {
        self.beside.modulation = Some(ScaleShift { scale, shift, from_one: true });
        self
    }

    /// The same as `z·scale + shift`: adaptive instance norm (Huang & Belongie 2017, arXiv:1703.06868), conditional batch norm.
    pub fn scale_and_shift(mut self, scale: &'a Tensor, shift: &'a Tensor) -> Self {
        self.beside.modulation = Some(ScaleShift { scale, shift, from_one: false });
        self
    }

    /// `c` is added to the norm's output, before the activation: a ResNet's skip. `c` has the input's shape and element type.
    pub fn add_after(mut self, c: &'a Tensor) -> Self {
        self.beside.add_after = Some(c);
        self
    }

    /// As [`GpuNorm::forward_async`].
    ///
    /// # Errors
    /// As [`GpuNorm::forward_async`].
    pub async fn forward_async<D: Dimension>(&self, x: &ArrayRef<f32, D>) -> Result<Array<f32, D>> {
        // Where others are to be told, the call itself finds it.
        if self.norm.processes(self.mode).is_none() {
            self.geometry_of(x.shape())?;
        }
        let y = self.forward_array(x).await?;
        let (expected, found) = (x.shape().to_vec(), y.shape().to_vec());
        y.into_dimensionality().map_err(|_| Error::Shape { what: "the output", expected, found })
    }

    async fn forward_array<D: Dimension>(&self, x: &ArrayRef<f32, D>) -> Result<ArrayD<f32>> {
        #[cfg(not(target_arch = "wasm32"))]
        if self.norm.processes(self.mode).is_some() {
            return self.begin_forward_of(Tensor::from_array(&self.norm.gpu, x)).finish()?.read().await;
        }
        let buffers = self.norm.gpu.buffers();
        // A browser tells of other calls first, and then that it has no memory for this one, before it is submitted: with the
        // cache emptied, there may be.
        buffers.settled().await?;
        let record = || self.start(&Tensor::from_array(&self.norm.gpu, x)?);
        let mut forward = record()?;
        match buffers.settled().await {
            Err(Error::OutOfMemory { .. }) => forward = record()?,
            settled => settled?,
        }
        forward.submit_and_read().await
    }

    /// As [`GpuNorm::forward_tensor`].
    ///
    /// # Errors
    /// As [`GpuNorm::forward_tensor`].
    pub fn forward_tensor(&self, x: &Tensor) -> Result<Tensor> {
        #[cfg(not(target_arch = "wasm32"))]
        if self.norm.processes(self.mode).is_some() {
            return self.begin_forward(x).finish();
        }
        self.submit_forward(x)
    }

    /// Without others to exchange with.
    pub(super) fn submit_forward(&self, x: &Tensor) -> Result<Tensor> {
        self.start(x)?.submit()
    }

    /// As [`GpuNorm::forward_in_place`].
    ///
    /// # Errors
    /// As [`GpuNorm::forward_in_place`].
    pub fn forward_in_place(&self, x: &Tensor) -> Result<()> {
        #[cfg(not(target_arch = "wasm32"))]
        if self.norm.processes(self.mode).is_some() {
            return self.begin_forward_into(x, x).finish();
        }
        self.submit_into(x, x)
    }

    /// Without others to exchange with.
    pub(super) fn submit_into(&self, x: &Tensor, y: &Tensor) -> Result<()> {
        let checked = self.norm.gpu.checked();
        let dispatches = self.prepare(x, y)?;
        let mut encoder = checked.encoder(RUNNING_FORWARD)?;
        record(&mut encoder, &dispatches);
        checked.submit(encoder, RUNNING_FORWARD)
    }

    /// As [`GpuNorm::encode_forward`].
    ///
    /// # Errors
    /// As [`GpuNorm::encode_forward`].
    pub fn encode_forward(&self, to: &mut impl Recorder, x: &Tensor, y: &Tensor) -> Result<()> {
        let dispatches = self.prepare(x, y)?;
        let beside = self.beside.tensors().map(|(_, tensor)| tensor);
        beside.chain([x, y]).for_each(Tensor::forbid_reuse);
        record(to, &dispatches);
        Ok(())
    }

    /// As [`GpuNorm::plan`].
    ///
    /// # Errors
    /// As [`GpuNorm::plan`].
    pub fn plan(&self, shape: &[usize], dtype: DType) -> Result<Plan> {
        let geometry = self.geometry(shape, dtype)?;
        bytes_of(&self.norm.gpu, shape, dtype)?;
        let pass = Pass::Forward { saves: false, neighbours: self.neighbours(shape) };
        self.norm.plan_pass(&geometry, dtype, pass, Layout::default())
    }

    /// As [`GpuNorm::profile_async`].
    ///
    /// # Errors
    /// As [`GpuNorm::profile_async`].
    pub async fn profile_async(&self, x: &Tensor, y: &Tensor) -> Result<Option<Vec<(&'static str, Duration)>>> {
        self.norm.gpu.checked().check_alive(PROFILING)?;
        self.norm.profile_of(&self.prepare(x, y)?).await
    }

    /// A forward of `x` into a new tensor, not yet submitted.
    fn start(&self, input: &Tensor) -> Result<RecordedForward> {
        let gpu = &self.norm.gpu;
        self.norm.check_gpu(input, "the input")?;
        let output = Tensor::uninitialized(gpu, input.shape(), input.dtype())?;
        let dispatches = self.prepare(input, &output)?;
        let mut encoder = gpu.checked().encoder(RUNNING_FORWARD)?;
        record(&mut encoder, &dispatches);
        Ok(RecordedForward { encoder, output, _input: input.clone() })
    }

    /// The dispatches of a forward from `x` to `y`.
    fn prepare(&self, x: &Tensor, y: &Tensor) -> Result<Arc<[Dispatch]>> {
        let own = [(Binding::X, x), (Binding::Y, y)];
        let neighbours = self.neighbours(x.shape());
        let pass = Pass::Forward { saves: false, neighbours };
        let prepare = |sliced: &[_], kept: &[_]| {
            let bound = BoundPass { mode: self.mode, pass, half: Half::Both, sliced, kept };
            self.norm.prepare_pass(bound, || Ok((vec![], self.checked_plan(x, y, pass)?.1)))
        };
        if self.beside.is_empty() {
            return prepare(&own, &[]);
        }
        let (whole, like_input): (Vec<_>, Vec<_>) =
            self.beside.tensors().partition(|(binding, _)| neighbours.is_whole(*binding));
        prepare(&[&own[..], &like_input].concat(), &whole)
    }

    /// What goes along with an input of this shape, to a plan.
    pub(super) fn neighbours(&self, shape: &[usize]) -> Neighbours {
        self.beside.neighbours(&self.norm.spec, shape)
    }

    fn geometry_of(&self, shape: &[usize]) -> Result<Geometry> {
        match self.norm.processes(self.mode) {
            Some(processes) => Geometry::of_share(&self.norm.spec, shape, processes),
            None => Geometry::new(&self.norm.spec, self.mode, shape),
        }
    }

    /// What the layer is for an input of this shape and type, which what goes along has to fit.
    pub(super) fn geometry(&self, shape: &[usize], dtype: DType) -> Result<Geometry> {
        let geometry = self.geometry_of(shape)?;
        self.beside.check(&self.norm.gpu, &self.norm.spec, shape, dtype)?;
        Ok(geometry)
    }

    pub(super) fn checked_plan(&self, x: &Tensor, y: &Tensor, pass: Pass) -> Result<(Geometry, Plan)> {
        let norm = self.norm;
        norm.check_gpu(x, "the input")?;
        norm.check_gpu(y, "the output")?;
        let geometry = self.geometry(x.shape(), x.dtype())?;
        y.check_strided(&norm.gpu, "the output", x.shape(), x.dtype())?;
        let layout = norm.layout(&[(Binding::X, x), (Binding::Y, y)])?;
        let plan = norm.plan_pass(&geometry, x.dtype(), pass, layout)?;
        Ok((geometry, plan))
    }
}
