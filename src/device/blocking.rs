//! What waits where it is called. A browser's thread cannot: there each has only its twin, which is awaited.

use ndarray::ArrayD;
use pollster::block_on;

use super::gpu::Gpu;
use super::tensor::Tensor;
use crate::dtype::Scalar;
use crate::error::Result;

impl Gpu {
    /// As [`request`](Self::request), and waits for it. Not in browsers.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub fn new() -> Result<Gpu> {
        block_on(Gpu::request())
    }
}

impl Tensor {
    /// As [`read`](Self::read), and waits for it: the tensor widened to f32. Not in browsers.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn to_array(&self) -> Result<ArrayD<f32>> {
        block_on(self.read())
    }

    /// As [`read_as`](Self::read_as), and waits for it: the elements as they are. Not in browsers.
    ///
    /// # Errors
    /// As [`read_as`](Self::read_as).
    pub fn to_vec<T: Scalar>(&self) -> Result<Vec<T>> {
        block_on(self.read_as())
    }
}
