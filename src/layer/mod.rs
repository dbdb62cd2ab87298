//! The layer that users call: what it holds, how it runs.

mod aliasing;
mod encode;
mod norm;
mod parameters;
pub(crate) mod prepared;
mod state;
mod state_dict;
mod training;

#[cfg(test)]
mod tests;

pub use norm::GpuNorm;
pub use state_dict::StateDict;
pub use training::{Gradients, Saved};
