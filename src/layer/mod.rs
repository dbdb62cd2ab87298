//! The layer that users call: what it holds, how it runs.

mod aliasing;
mod encode;
mod norm;
mod parameters;
mod prepared;
mod state;
mod state_dict;
mod training;
mod warm_up;

#[cfg(test)]
mod tests;

pub use norm::GpuNorm;
pub use state_dict::StateDict;
pub use training::{Gradients, Saved};
