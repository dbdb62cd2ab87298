//! The oracle: every norm in `f64`, element by element, too simple to be wrong. It shares no arithmetic with the
//! kernels or with their plan; the tests hold every kernel to it, and it can hold a port or another backend as well.
//!
//! Each norm is seen on `[N, C, S]` (layer and RMS norm: `[outer, 1, normalized]`), wherever an input has its channels, where it gives each instance
//! `(n, c)` a mean and a variance; what differs is whose mean and variance.

mod backward;
mod forward;
mod instances;
mod moments;
mod neighbours;
mod state;
mod switchable;

#[cfg(test)]
mod tests;

pub use backward::{Gradient, Gradients, backward};
pub use forward::{Forward, tolerance};
pub use neighbours::{NeighbourGradients, Neighbours, backward_beside, forward, forward_beside};
pub use state::State;
