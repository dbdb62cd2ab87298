//! What several examples need beside a norm: options, pictures and what is in them, plots, random numbers, a loss.

pub mod arguments;
pub mod batch;
pub mod canvas;
pub mod landscape;
pub mod lights;
pub mod loss;
pub mod photo;
pub mod plot;
pub mod random;
pub mod scale;
