//! gpunorm
#![deny(unsafe_code)]

pub mod caps;
mod dtype;
mod encode;
mod error;
pub mod geometry;
mod gpu;
pub mod kernel;
mod norm;
mod pipeline;
pub mod plan;
mod profile;
pub mod reference;
mod spec;
mod state;
mod state_dict;
mod tensor;

pub use dtype::DType;
pub use error::{Error, Result};
pub use gpu::Gpu;
pub use norm::GpuNorm;
pub use plan::{Plan, Strategy};
pub use spec::{
    BatchNorm, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm, SwitchableNorm, Variance, Weighting,
};
pub use state_dict::StateDict;
pub use tensor::Tensor;
