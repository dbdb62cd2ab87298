#![doc = include_str!("../README.md")]
//!
//! # Map of the source
//!
//! * `modules/`: what users call, one file for each norm, with burn's fields and configs.
//! * `normalize`: where a call goes: to the kernels, or, on devices that have none, to burn's own operations in `composed`; with its
//!   `parameters`.
//! * `call`: what a layer is for one shape and type on one device, and its plans.
//! * `ops`: the operations as burn's backends know them; `native` launches plans on CubeCL, by `kernel`; `autodiff` has their gradients.
//! * `device`: what CubeCL says of a device, in gpunorm's words.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

#[cfg(feature = "autodiff")]
mod autodiff;
mod call;
mod composed;
mod device;
mod kernel;
mod modules;
mod native;
mod normalize;
mod ops;
mod parameters;

pub use modules::{
    BatchNorm, BatchNormConfig, GroupNorm, GroupNormConfig, InstanceNorm, InstanceNormConfig, LayerNorm,
    LayerNormConfig, RmsNorm, RmsNormConfig, SwitchableNorm, SwitchableNormConfig,
};
