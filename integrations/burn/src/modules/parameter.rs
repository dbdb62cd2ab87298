//! A layer's weight and bias.

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Shape, Tensor};

/// One that starts as all of this value, and is made when it is first looked at, as burn's are.
pub fn constant<const D: usize>(shape: [usize; D], value: f64, device: &Device) -> Param<Tensor<D>> {
    let shape = Shape::from(shape);
    let filled = shape.clone();
    let init = move |device: &Device, requires_gradient: bool| {
        let filled = filled.clone();
        device.memory_persistent_allocations((), move |()| {
            let tensor = Tensor::full(filled.clone(), value, device);
            if requires_gradient { tensor.require_grad() } else { tensor }
        })
    };
    Param::uninitialized(ParamId::new(), init, device.clone(), true, shape)
}

/// 1 and 0, as far as the layer has them.
pub fn affine<const D: usize>(
    shape: [usize; D],
    affine: bool,
    device: &Device,
) -> (Option<Param<Tensor<D>>>, Option<Param<Tensor<D>>>) {
    let parameter = |value| affine.then(|| constant(shape, value, device));
    (parameter(1.0), parameter(0.0))
}

/// As kernels take it: of one dimension.
pub fn flat<const D: usize>(parameter: &Option<Param<Tensor<D>>>) -> Option<Tensor<1>> {
    parameter.as_ref().map(|parameter| {
        let tensor = parameter.val();
        let elements = tensor.shape().num_elements();
        tensor.reshape([elements])
    })
}
