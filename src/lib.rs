//! gpunorm
mod caps;
mod dtype;
mod error;
mod geometry;
mod kernel;
mod plan;
pub mod reference;
mod spec;
pub use dtype::DType;
pub use error::{Error, Result};
pub use spec::*;
