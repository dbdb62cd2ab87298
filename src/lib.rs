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

pub mod caps;
mod dtype;
mod encode;
mod error;
pub mod geometry;
mod gpu;
pub mod kernel;
mod memory;
mod norm;
mod pipeline;
pub mod plan;
mod prepared;
mod profile;
pub mod reference;
mod spec;
mod state;
mod state_dict;
mod tensor;

pub use dtype::DType;
pub use error::{Error, Result};
pub use gpu::Gpu;
pub use norm::{GpuNorm, Gradients, Saved};
pub use plan::{Plan, Strategy};
pub use spec::{
    BatchNorm, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm, SwitchableNorm, Variance, Weighting,
};
pub use state_dict::StateDict;
pub use tensor::Tensor;
