// ResNet-20 (He, Zhang, Ren & Sun 2016, arXiv:1512.03385, §4.2), with projections where sizes change. It is included once below each of two
// `use` lines for BatchNorm and BatchNormConfig: see main.rs.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use burn_nn::conv::{Conv2d, Conv2dConfig};
use burn_nn::{Linear, LinearConfig, PaddingConfig2d};

#[derive(Module, Debug)]
struct Block {
    conv1: Conv2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
    projection: Option<Conv2d>,
    projection_norm: Option<BatchNorm>,
}

impl Block {
    fn new([from, to]: [usize; 2], stride: usize, device: &Device) -> Block {
        let norm = || BatchNormConfig::new(to).init(device);
        let projects = stride > 1 || from != to;
        let projection = || Conv2dConfig::new([from, to], [1, 1]).with_stride([stride, stride]).with_bias(false).init(device);
        Block {
            conv1: conv([from, to], stride, device),
            norm1: norm(),
            conv2: conv([to, to], 1, device),
            norm2: norm(),
            projection: projects.then(projection),
            projection_norm: projects.then(norm),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = relu(self.norm1.forward(self.conv1.forward(x.clone())));
        let y = self.norm2.forward(self.conv2.forward(y));
        let skip = match (&self.projection, &self.projection_norm) {
            (Some(projection), Some(norm)) => norm.forward(projection.forward(x)),
            _ => x,
        };
        relu(y + skip)
    }
}

fn conv(channels: [usize; 2], stride: usize, device: &Device) -> Conv2d {
    let config = Conv2dConfig::new(channels, [3, 3]).with_stride([stride, stride]).with_bias(false);
    config.with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init(device)
}

#[derive(Module, Debug)]
pub struct ResNet20 {
    stem: Conv2d,
    norm: BatchNorm,
    blocks: Vec<Block>,
    head: Linear,
}

impl ResNet20 {
    /// For images of three colours, of ten classes.
    pub fn new(device: &Device) -> ResNet20 {
        let stages = [[16, 16], [16, 32], [32, 64]];
        let stage = |[from, to]: [usize; 2]| {
            let first = Block::new([from, to], if from == to { 1 } else { 2 }, device);
            [first, Block::new([to, to], 1, device), Block::new([to, to], 1, device)]
        };
        ResNet20 {
            stem: conv([3, 16], 1, device),
            norm: BatchNormConfig::new(16).init(device),
            blocks: stages.into_iter().flat_map(stage).collect(),
            head: LinearConfig::new(64, 10).init(device),
        }
    }

    /// The logits of `[N, 3, H, W]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = relu(self.norm.forward(self.stem.forward(images)));
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        let [n, c, _, _] = x.dims();
        self.head.forward(x.mean_dim(3).mean_dim(2).reshape([n, c]))
    }
}
