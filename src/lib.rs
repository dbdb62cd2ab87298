#![doc = include_str!("../README.md")]
//!
//! # Map of the source
//!
//! A module imports only from its own layer or from those above it in this list.
//!
//! * Words: `error`, `dtype`.
//! * Meaning, without wgpu: `spec` (what a layer is), [`geometry`] (what it means for a shape), [`mod@reference`] (the
//!   oracle).
//! * Decision, pure: [`caps`] (an adapter's numbers), [`kernel`] (the WGSL that there is), [`plan`] (what runs).
//! * Device: `gpu`, `pipeline`, `tensor`, `memory` (pooled buffers), `prepared` (what a layer need not make again),
//!   `profile`.
//! * Use: `encode` (a plan becomes dispatches), `state` and `state_dict` (parameters and running statistics), `norm`
//!   (the layer, and its training).
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod device;
mod dtype;
mod error;
pub mod kernel;
mod layer;
pub mod plan;
pub mod reference;
mod spec;

pub use device::{Gpu, Tensor};
pub use dtype::DType;
pub use error::{Error, Result};
pub use layer::{GpuNorm, Gradients, Saved, StateDict};
pub use plan::{Plan, Strategy, caps};
pub use spec::{
    BatchNorm, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm, SwitchableNorm, Variance, Weighting,
    geometry,
};
