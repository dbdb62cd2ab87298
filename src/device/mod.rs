//! A wgpu device and what this crate keeps on it: memory, tensors, compiled kernels.

mod adapter;
#[cfg(not(target_arch = "wasm32"))]
mod blocking;
mod browser;
mod buffers;
mod checked;
mod copy;
mod dispatch;
mod gpu;
mod later;
mod memory;
mod pipeline;
mod profile;
mod readback;
mod tensor;
mod transfer;
mod view;
mod wrapped;

pub(crate) use buffers::Purpose;
pub(crate) use copy::{copies, zeros};
pub use dispatch::Recorder;
pub(crate) use dispatch::{Dispatch, record};
pub use gpu::Gpu;
pub(crate) use memory::{BufferUser, lock};
pub(crate) use pipeline::COMPILING;
pub(crate) use profile::{PROFILING, Timestamps};
pub(crate) use readback::Part;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use readback::Reading;
pub use tensor::Tensor;
pub(crate) use tensor::bytes_of;
