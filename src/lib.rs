//! gpunorm
mod dtype;
mod error;
mod geometry;
mod spec;
pub use dtype::DType;
pub use error::{Error, Result};
pub use spec::*;
