//! What a layer is: one plain type per norm, named and defaulted as in `torch.nn`, and their sum [`NormSpec`]; and what it
//! means for a shape, its [`geometry`]. And how tensors lie in memory, their [`strides`].

mod activation;
mod channels;
pub mod geometry;
mod norm;
mod options;
pub(crate) mod sizes;
pub mod strides;
mod switchable;
mod trailing;

pub use activation::Activation;
pub use channels::{BatchNorm, GroupNorm, InstanceNorm};
pub use norm::NormSpec;
pub(crate) use options::COUNTER;
pub use options::{Mode, Momentum};
pub use switchable::{SwitchableNorm, Variance, Weighting};
pub use trailing::{LayerNorm, NormalizedShape, RmsNorm};
