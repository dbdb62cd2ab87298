//! The layer that users call: what it holds, how it runs.

#[cfg(target_arch = "wasm32")]
mod absent;
mod aliasing;
#[cfg(not(target_arch = "wasm32"))]
mod begun;
mod beside;
#[cfg(not(target_arch = "wasm32"))]
mod blocking;
mod call;
#[cfg(feature = "safetensors")]
mod checkpoint;
mod encode;
#[cfg(not(target_arch = "wasm32"))]
mod exchange;
#[cfg(feature = "safetensors")]
mod file_value;
#[cfg(all(feature = "safetensors", not(target_arch = "wasm32")))]
mod files;
mod gradients;
#[cfg(not(target_arch = "wasm32"))]
mod halves;
mod layout;
mod names;
mod norm;
mod parameters;
mod pass;
mod prepared;
mod saved;
mod state;
mod state_dict;
mod state_value;
#[cfg(not(target_arch = "wasm32"))]
mod synchronized;
mod training;
mod warm_up;

#[cfg(test)]
mod tests;

#[cfg(not(target_arch = "wasm32"))]
pub use begun::Begun;
pub use call::Call;
pub use gradients::{Gradients, Wanted};
pub use norm::GpuNorm;
pub use saved::Saved;
pub use state_dict::StateDict;
pub use state_value::StateValue;
