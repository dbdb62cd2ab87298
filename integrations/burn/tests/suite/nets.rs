//! A small convolutional net and a small transformer, once with burn's layers and once with these.

/// Everything but whose norms they are.
macro_rules! nets {
    ($name:ident, $nn:ident) => {
        pub mod $name {
            use burn::module::Module;
            use burn::tensor::activation::{gelu, relu, softmax};
            use burn::tensor::{Device, Int, Tensor};
            use burn_nn::conv::{Conv2d, Conv2dConfig};
            use burn_nn::{Embedding, EmbeddingConfig, Linear, LinearConfig, PaddingConfig2d};
            use $nn::{
                BatchNorm, BatchNormConfig, GroupNorm, GroupNormConfig, InstanceNorm, InstanceNormConfig, LayerNorm,
                LayerNormConfig, RmsNorm, RmsNormConfig,
            };

            /// Two residual blocks, of batch and of group norm, on an instance-normalized stem.
            #[derive(Module, Debug)]
            pub struct ConvNet {
                stem: Conv2d,
                stem_norm: InstanceNorm,
                first: [Conv2d; 2],
                first_norms: [BatchNorm; 2],
                second: [Conv2d; 2],
                second_norms: [GroupNorm; 2],
                head: Linear,
            }

            impl ConvNet {
                pub fn new(device: &Device) -> ConvNet {
                    let conv = |from: usize, to: usize| {
                        let config = Conv2dConfig::new([from, to], [3, 3]).with_bias(false);
                        config.with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init(device)
                    };
                    let batch = || BatchNormConfig::new(8).init(device);
                    let group = || GroupNormConfig::new(2, 8).init(device);
                    ConvNet {
                        stem: conv(1, 8),
                        stem_norm: InstanceNormConfig::new(8).init(device),
                        first: [conv(8, 8), conv(8, 8)],
                        first_norms: [batch(), batch()],
                        second: [conv(8, 8), conv(8, 8)],
                        second_norms: [group(), group()],
                        head: LinearConfig::new(8, 4).init(device),
                    }
                }

                /// Logits of images `[N, 1, H, W]`.
                pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
                    let x = relu(self.stem_norm.forward(self.stem.forward(images)));
                    let [a, b] = [0, 1].map(|i| move |x| self.first_norms[i].forward(self.first[i].forward(x)));
                    let x = relu(b(relu(a(x.clone()))) + x);
                    let [a, b] = [0, 1].map(|i| move |x| self.second_norms[i].forward(self.second[i].forward(x)));
                    let x = relu(b(relu(a(x.clone()))) + x);
                    let [n, c, _, _] = x.dims();
                    self.head.forward(x.mean_dim(3).mean_dim(2).reshape([n, c]))
                }
            }

            const WIDTH: usize = 32;

            /// A block of each kind: layer norm as in GPT-2, RMS norm as in Llama.
            #[derive(Module, Debug)]
            pub struct Transformer {
                tokens: Embedding,
                places: Embedding,
                qkv: [Linear; 2],
                out: [Linear; 2],
                up: [Linear; 2],
                down: [Linear; 2],
                layer_norms: [LayerNorm; 2],
                rms_norms: [RmsNorm; 2],
                last: LayerNorm,
                head: Linear,
            }

            impl Transformer {
                pub fn new(vocabulary: usize, length: usize, device: &Device) -> Transformer {
                    let linear = |from: usize, to: usize| LinearConfig::new(from, to).init(device);
                    let two = |from: usize, to: usize| [linear(from, to), linear(from, to)];
                    let layer = || LayerNormConfig::new(WIDTH).init(device);
                    let rms = || RmsNormConfig::new(WIDTH).init(device);
                    Transformer {
                        tokens: EmbeddingConfig::new(vocabulary, WIDTH).init(device),
                        places: EmbeddingConfig::new(length, WIDTH).init(device),
                        qkv: two(WIDTH, 3 * WIDTH),
                        out: two(WIDTH, WIDTH),
                        up: two(WIDTH, 4 * WIDTH),
                        down: two(4 * WIDTH, WIDTH),
                        layer_norms: [layer(), layer()],
                        rms_norms: [rms(), rms()],
                        last: layer(),
                        head: linear(WIDTH, vocabulary),
                    }
                }

                fn attention(&self, block: usize, x: Tensor<3>) -> Tensor<3> {
                    let [_, length, _] = x.dims();
                    let qkv = self.qkv[block].forward(x.clone());
                    let [q, k, v] = [0, 1, 2].map(|i| qkv.clone().narrow(2, i * WIDTH, WIDTH));
                    let scores = q.matmul(k.swap_dims(1, 2)) / (WIDTH as f64).sqrt();
                    let future = Tensor::<2>::ones([length, length], &x.device()).triu(1).unsqueeze() * -1e4;
                    self.out[block].forward(softmax(scores + future, 2).matmul(v))
                }

                /// Logits of what follows each token of `[N, length]`.
                pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
                    let [n, length] = tokens.dims();
                    let places = Tensor::<1, Int>::arange(0..length as i64, &tokens.device());
                    let places = places.unsqueeze::<2>().expand([n, length]);
                    let mut x = self.tokens.forward(tokens) + self.places.forward(places);
                    let mlp = |block: usize, x| self.down[block].forward(gelu(self.up[block].forward(x)));
                    x = x.clone() + self.attention(0, self.layer_norms[0].forward(x));
                    x = x.clone() + mlp(0, self.layer_norms[1].forward(x));
                    x = x.clone() + self.attention(1, self.rms_norms[0].forward(x));
                    x = x.clone() + mlp(1, self.rms_norms[1].forward(x));
                    self.head.forward(self.last.forward(x))
                }
            }
        }
    };
}

nets!(ours, gpunorm_burn);
nets!(burns, burn_nn);
