#![doc = include_str!("../README.md")]
//!
//! # Map of the source
//!
//! Layers are folders, and a folder imports only from those below it in this list:
//!
//! * `layer/`: what users call. `norm` is the layer, `call` its forwards, `training` its backwards into `gradients`, of what is `saved`, `beside` tensors that go along, `pass` what
//!   both share; `parameters`, `state`, `state_dict` and `checkpoint` what it holds; `encode` how a plan becomes dispatches,
//!   `prepared` what it need not make again, `warm_up` compiling ahead; `synchronized` begins passes in `halves`, between which processes
//!   `exchange` what they have found, and `begun` finishes them; `blocking` is what waits, which browsers lack, as they lack
//!   `files`; `absent` says what they have instead.
//! * `device/`: what stands on a wgpu device. `gpu` is the handle, `checked` gives errors for wgpu's panics, `later` those that a `browser` tells late, `memory`, `buffers`
//!   and `wrapped` hold buffers, `pipeline` compiles, `tensor` is memory with a shape, `view` others of it, `transfer`, `readback` and `copy` move
//!   data, `dispatch` is what is ready to be recorded, `profile` takes times, `blocking` waits.
//! * `plan/`: pure. A layer, a shape, an element type and an adapter's numbers (`caps`) give the steps to run.
//! * `kernel/`: pure. The WGSL that there is, in `shaders/`.
//! * [`mod@reference`]: the oracle, plain f64.
//! * `spec/`: what a layer is, and what it means for a shape (`geometry`), how large that may be (`sizes`), and where rows lie (`strides`).
//! * `group/`: processes that share a batch, by threads or by MPI.
//! * `error`, `dtype`.
//!
//! [`unstable`] shows of `spec`, `kernel` and `plan` what tests, benches and other runtimes build on.
//!
//! Files of one folder import one another in no circle; `tests/suite/layering.rs` holds all of this.
#![deny(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(target_arch = "wasm32", allow(clippy::arc_with_non_send_sync, reason = "elsewhere they are Send and Sync"))]

#[doc = include_str!("../docs/beside.md")]
pub mod beside {}

mod device;
mod dtype;
mod error;
#[cfg(not(target_arch = "wasm32"))]
mod group;
mod kernel;
mod layer;
mod plan;
pub mod reference;
mod spec;
pub mod unstable;

/// What arguments and results are of: [`half::f16`] and [`half::bf16`].
pub use half;
/// Communicators, for [`ProcessGroup::mpi`]. Of the feature `mpi`.
#[cfg(all(feature = "mpi", not(target_arch = "wasm32")))]
pub use mpi;
/// Arrays that go in and out.
pub use ndarray;
/// Devices, encoders and buffers, for apps that have their own.
pub use wgpu;

pub use device::{Gpu, Recorder, Tensor};
pub use dtype::{DType, Scalar};
pub use error::{Cause, Error, Result};
#[cfg(all(feature = "mpi", not(target_arch = "wasm32")))]
pub use group::or_abort;
#[cfg(not(target_arch = "wasm32"))]
pub use group::{Collective, ProcessGroup};
#[cfg(not(target_arch = "wasm32"))]
pub use layer::Begun;
pub use layer::{Call, GpuNorm, Gradients, Saved, StateDict, StateValue, Wanted};
pub use plan::Plan;
pub use spec::{
    Activation, BatchNorm, GroupNorm, InstanceNorm, LayerNorm, Mode, Momentum, NormSpec, NormalizedShape, RmsNorm,
    SwitchableNorm, Variance, Weighting,
};
