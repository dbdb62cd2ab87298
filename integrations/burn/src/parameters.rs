//! What a layer has besides its spec.

use burn::tensor::Tensor;

/// A layer's arrays, each of as many elements as the layer takes.
#[derive(Default, Clone)]
pub struct Parameters {
    pub weight: Option<Tensor<1>>,
    pub bias: Option<Tensor<1>>,
    pub mean_weight: Option<Tensor<1>>,
    pub var_weight: Option<Tensor<1>>,
    pub running: Option<Running>,
}

/// Running statistics, of no graph.
#[derive(Clone)]
pub struct Running {
    pub mean: Tensor<1>,
    pub var: Tensor<1>,
}
