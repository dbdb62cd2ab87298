//! A wgpu device and what this crate keeps on it: memory, tensors, compiled kernels.

mod adapter;
mod buffers;
mod checked;
mod gpu;
mod memory;
mod pipeline;
mod profile;
mod readback;
mod tensor;

pub(crate) use buffers::Purpose;
pub use gpu::Gpu;
pub(crate) use memory::{BufferUser, lock};
pub(crate) use pipeline::{COMPILING, Pipeline};
pub(crate) use profile::{PROFILING, Timestamps};
pub(crate) use readback::Part;
pub use tensor::Tensor;
pub(crate) use tensor::bytes_of;
