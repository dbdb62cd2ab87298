//! The closed set of kernels: which WGSL pieces make each one up, what it binds, how often it loops, and its uniform.
//!
//! A kernel is a concatenation of pieces. Of a folder of pieces that declare the same names it links one. `forward` and
//! `backward` declare each kernel once; its text, bindings and loops follow.

mod alternatives;
mod backward;
mod baked;
mod binding;
mod declaration;
mod forward;
mod kernels;
mod launch;
mod overrides;
mod params;
mod part;
mod piece;
mod registry;
mod target;

pub use alternatives::{
    Beside, CoefficientsFrom, Element, KeptSums, Parameters, Registers, RunningStatistics, Save, StatisticsFrom, Team,
};
pub use binding::Binding;
pub use kernels::Kernel;
pub(crate) use launch::parameter_loops;
pub(crate) use overrides::{
    BY_ELEMENT, BY_ROW, BY_ROWS, BY_UNIT, GELU, GELU_TANH, IDENTITY, LEAKY_RELU, MIXED, PER_ELEMENT, PER_ROW, PER_UNIT,
    RELU, SILU, TWO_PER_UNIT,
};
pub use params::Params;
pub use target::{F16, Target};
