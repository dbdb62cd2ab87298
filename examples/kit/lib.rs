//! What several examples need beside a norm: options, pictures, plots, random numbers, a loss.

pub mod arguments;
pub mod canvas;
pub mod landscape;
pub mod loss;
pub mod photo;
pub mod plot;
pub mod random;
