//! RMS norm on the GPU, where the residual stream stays: it goes through these layers and nowhere else.

use gpunorm::{Gpu, GpuNorm, Gradients, Result, RmsNorm, Saved, Tensor};
use ndarray::{Array2, ArrayD};

use crate::layers::Parameter;

pub struct Norm {
    layer: GpuNorm,
    pub weight: Parameter,
    saved: Option<Saved>,
}

impl Norm {
    pub fn new(gpu: &Gpu, width: usize) -> Result<Norm> {
        let layer = GpuNorm::new(gpu, RmsNorm::new(width))?;
        Ok(Norm { layer, weight: Parameter::new(Array2::ones((1, width))), saved: None })
    }

    /// What is found in the stream after `found` was added to it, and that sum, the stream from here on: one pass over memory.
    pub fn forward(&mut self, stream: Tensor, found: Option<&Tensor>) -> Result<(Array2<f32>, Tensor)> {
        // The weight is live: what is written into it counts from the next forward on.
        let weight = self.layer.weight().expect("RMS norm has one by default");
        weight.write(self.weight.value.as_slice().expect("in order"))?;
        let ((y, saved), stream) = match found {
            None => (self.layer.forward_saved(&stream)?, stream),
            Some(found) => {
                let next = Tensor::zeros(stream.gpu(), stream.shape(), stream.dtype())?;
                (self.layer.call().add_before(found).keep_sum(&next).forward_saved(&stream)?, next)
            }
        };
        self.saved = Some(saved);
        Ok((rows(y.to_array()?), stream))
    }

    /// Adds the gradient that comes through the norm to the stream's, in which the gradients of those are that read it later.
    pub fn backward(&mut self, dy: &Array2<f32>, stream: &Tensor) -> Result<()> {
        let gpu = self.layer.gpu();
        let saved = self.saved.as_ref().expect("a forward comes first");
        let dy = Tensor::from_array(gpu, dy)?;
        let weight = Tensor::zeros(gpu, &[self.weight.value.len()], dy.dtype())?;
        let mut gradients = Gradients::new(stream.clone()).accumulate_input(true);
        gradients.weight = Some(weight.clone());
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        self.layer.encode_backward(&mut encoder, &dy, saved, &gradients)?;
        gpu.queue().submit([encoder.finish()]);
        let gradient = weight.to_array()?.into_shape_with_order(self.weight.value.dim());
        self.weight.gradient = gradient.expect("as many weights");
        Ok(())
    }
}

pub fn rows(array: ArrayD<f32>) -> Array2<f32> {
    array.into_dimensionality().expect("rows of a width")
}
