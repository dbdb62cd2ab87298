//! A small network: linear layers and ReLU on the CPU by `ndarray`, the norm layers on the GPU.
//!
//! A picture is cut into patches; a linear layer makes channels of each patch's pixels, a second one channels of channels,
//! and a last one classes of everything. After each of the first two there is a norm over `[N, C, P]` and a ReLU.

use example_kit::loss::cross_entropy;
use example_kit::random::Random;
use gpunorm::{Gpu, GpuNorm, NormSpec, Saved, Tensor};
use ndarray::{Array1, Array2, Array3, ArrayD, Axis, Zip};

use crate::digits::{Batch, CLASSES, SIZE};

/// Channels of the hidden layers.
pub const CHANNELS: usize = 32;
/// Rows and columns of a patch.
const PATCH: usize = 4;
/// Patches of a picture.
pub const PLACES: usize = (SIZE / PATCH) * (SIZE / PATCH);
const MOMENTUM: f32 = 0.9;

pub type Result<T> = std::result::Result<T, gpunorm::Error>;

/// What becomes of each gradient of a parameter before the step: of several processes, it is averaged over them.
pub type Average<'a> = dyn Fn(&mut [f32]) + 'a;

/// A linear layer `y = x·w + b` and the speed of its parameters.
struct Linear {
    weight: Array2<f32>,
    bias: Array1<f32>,
    speeds: (Array2<f32>, Array1<f32>),
}

impl Linear {
    /// He's initial values (arXiv:1502.01852).
    fn new(random: &mut Random, inputs: usize, outputs: usize) -> Linear {
        let bound = (6.0 / inputs as f32).sqrt();
        let weight = Array2::from_shape_simple_fn((inputs, outputs), || bound * random.signed());
        let speeds = (Array2::zeros((inputs, outputs)), Array1::zeros(outputs));
        Linear { weight, bias: Array1::zeros(outputs), speeds }
    }

    fn forward(&self, x: &Array2<f32>) -> Array2<f32> {
        x.dot(&self.weight) + &self.bias
    }

    /// A step against the gradient, and the gradient of the input.
    fn backward(&mut self, x: &Array2<f32>, dy: &Array2<f32>, rate: f32, average: &Average<'_>) -> Array2<f32> {
        let dx = dy.dot(&self.weight.t());
        let (mut weight, mut bias) = (x.t().dot(dy), dy.sum_axis(Axis(0)));
        weight.as_slice_memory_order_mut().into_iter().chain(bias.as_slice_mut()).for_each(average);
        self.speeds.0 = MOMENTUM * &self.speeds.0 + weight;
        self.speeds.1 = MOMENTUM * &self.speeds.1 + bias;
        self.weight.scaled_add(-rate, &self.speeds.0);
        self.bias.scaled_add(-rate, &self.speeds.1);
        dx
    }
}

/// A norm on the GPU, and the speed of its parameters.
pub struct Norm {
    layer: GpuNorm,
    speeds: Vec<ArrayD<f32>>,
}

impl Norm {
    fn new(gpu: &Gpu, spec: &NormSpec) -> Result<Norm> {
        Ok(Norm { layer: GpuNorm::new(gpu, spec.clone())?, speeds: vec![] })
    }

    fn forward(&self, x: &Array3<f32>) -> Result<(Array3<f32>, Saved)> {
        let (y, saved) = self.layer.forward_saved(&Tensor::from_array(self.layer.gpu(), x)?)?;
        Ok((shaped(y.to_array()?), saved))
    }

    /// A step against the gradient, and the gradient of the input.
    fn backward(&mut self, dy: &Array3<f32>, saved: &Saved, rate: f32, average: &Average<'_>) -> Result<Array3<f32>> {
        let gpu = self.layer.gpu();
        let gradients = self.layer.backward(&Tensor::from_array(gpu, dy)?, saved)?;
        let parameters = [
            (self.layer.weight(), &gradients.weight),
            (self.layer.bias(), &gradients.bias),
            (self.layer.mean_weight(), &gradients.mean_weight),
            (self.layer.var_weight(), &gradients.var_weight),
        ];
        let present = parameters.into_iter().filter_map(|(parameter, gradient)| Some((parameter?, gradient.as_ref()?)));
        for (place, (parameter, gradient)) in present.enumerate() {
            let mut gradient = gradient.to_array()?;
            gradient.as_slice_mut().into_iter().for_each(average);
            if self.speeds.len() == place {
                self.speeds.push(ArrayD::zeros(gradient.shape()));
            }
            self.speeds[place] = MOMENTUM * &self.speeds[place] + gradient;
            let value = parameter.to_array()? - rate * &self.speeds[place];
            // The tensor is live: what is written into it counts from the next forward on.
            let bytes: Vec<u8> = value.iter().flat_map(|value| value.to_le_bytes()).collect();
            gpu.queue().write_buffer(parameter.buffer(), parameter.offset(), &bytes);
        }
        Ok(shaped(gradients.input()?.to_array()?))
    }

    /// The shares that switchable norm gives to instance, layer and batch statistics: of the means, then of the variances.
    pub fn shares(&self) -> Result<Option<[f32; 6]>> {
        let (Some(means), Some(variances)) = (self.layer.mean_weight(), self.layer.var_weight()) else {
            return Ok(None);
        };
        let mut shares = [0.0; 6];
        for (shares, logits) in shares.chunks_mut(3).zip([means, variances]) {
            let e = logits.to_array()?.mapv(f32::exp);
            shares.iter_mut().zip(&e).for_each(|(share, value)| *share = value / e.sum());
        }
        Ok(Some(shares))
    }
}

fn shaped(array: ArrayD<f32>) -> Array3<f32> {
    array.into_dimensionality().expect("a norm keeps the rank")
}

/// What a hidden layer's backward needs.
struct Trace {
    input: Array2<f32>,
    saved: Option<Saved>,
    output: Array3<f32>,
}

struct Hidden {
    linear: Linear,
    norm: Option<Norm>,
}

impl Hidden {
    fn forward(&self, input: Array2<f32>) -> Result<Trace> {
        let linear = channels_first(&self.linear.forward(&input));
        let (mut output, saved) = match &self.norm {
            None => (linear, None),
            Some(norm) => {
                let (output, saved) = norm.forward(&linear)?;
                (output, Some(saved))
            }
        };
        output.mapv_inplace(|value| value.max(0.0));
        Ok(Trace { input, saved, output })
    }

    fn backward(
        &mut self,
        trace: &Trace,
        mut dy: Array3<f32>,
        rate: f32,
        average: &Average<'_>,
    ) -> Result<Array2<f32>> {
        Zip::from(&mut dy).and(&trace.output).for_each(|dy, &y| *dy = if y > 0.0 { *dy } else { 0.0 });
        if let (Some(norm), Some(saved)) = (&mut self.norm, &trace.saved) {
            dy = norm.backward(&dy, saved, rate, average)?;
        }
        Ok(self.linear.backward(&trace.input, &channels_last(&dy), rate, average))
    }
}

/// `[N·P, C]` to `[N, C, P]`.
fn channels_first(x: &Array2<f32>) -> Array3<f32> {
    let pictures = x.nrows() / PLACES;
    let x = x.to_shape((pictures, PLACES, x.ncols())).expect("a picture has that many places");
    x.permuted_axes([0, 2, 1]).as_standard_layout().into_owned()
}

/// `[N, C, P]` to `[N·P, C]`.
fn channels_last(x: &Array3<f32>) -> Array2<f32> {
    let (pictures, channels, _) = x.dim();
    let x = x.view().permuted_axes([0, 2, 1]).as_standard_layout().into_owned();
    x.into_shape_with_order((pictures * PLACES, channels)).expect("the same elements")
}

/// `[N, C, P]` to `[N, C·P]`.
fn flat(x: &Array3<f32>) -> Array2<f32> {
    x.to_shape((x.dim().0, CHANNELS * PLACES)).expect("the same elements").into_owned()
}

/// Each patch's pixels times `scale`, `[N·P, PATCH²]`.
fn patches(pictures: &Array3<f32>, scale: f32) -> Array2<f32> {
    let across = SIZE / PATCH;
    Array2::from_shape_fn((pictures.dim().0 * PLACES, PATCH * PATCH), |(row, pixel)| {
        let (picture, place) = (row / PLACES, row % PLACES);
        let (y, x) = (place / across * PATCH + pixel / PATCH, place % across * PATCH + pixel % PATCH);
        scale * pictures[[picture, y, x]]
    })
}

pub struct Network {
    scale: f32,
    hidden: [Hidden; 2],
    classes: Linear,
}

impl Network {
    /// The same initial values for every norm. Pictures are multiplied by `scale` first.
    pub fn new(gpu: &Gpu, scale: f32, norm: Option<&NormSpec>) -> Result<Network> {
        let mut random = Random::new(1);
        let mut hidden = |inputs| {
            let norm = norm.map(|spec| Norm::new(gpu, spec)).transpose()?;
            Ok(Hidden { linear: Linear::new(&mut random, inputs, CHANNELS), norm })
        };
        let hidden = [hidden(PATCH * PATCH)?, hidden(CHANNELS)?];
        Ok(Network { scale, hidden, classes: Linear::new(&mut random, CHANNELS * PLACES, CLASSES) })
    }

    /// The first norm.
    pub fn norm(&self) -> Option<&Norm> {
        self.hidden[0].norm.as_ref()
    }

    /// One step; the loss before it, the mean cross-entropy.
    pub fn train(&mut self, batch: &Batch, rate: f32, average: &Average<'_>) -> Result<f32> {
        let first = self.hidden[0].forward(patches(&batch.pictures, self.scale))?;
        let second = self.hidden[1].forward(channels_last(&first.output))?;
        let features = flat(&second.output);
        let mut gradient = self.classes.forward(&features);
        let loss = cross_entropy(gradient.view_mut(), &batch.labels);
        let gradient = self.classes.backward(&features, &gradient, rate, average);
        let gradient = gradient.into_shape_with_order(second.output.dim()).expect("the same elements");
        let gradient = self.hidden[1].backward(&second, gradient, rate, average)?;
        self.hidden[0].backward(&first, channels_first(&gradient), rate, average)?;
        Ok(loss)
    }

    /// The norms' layers.
    pub fn layers(&mut self) -> impl Iterator<Item = &mut GpuNorm> {
        self.hidden.iter_mut().filter_map(|hidden| Some(&mut hidden.norm.as_mut()?.layer))
    }

    /// From now on the norms use their running statistics.
    pub fn evaluate(&mut self) {
        self.layers().for_each(GpuNorm::eval);
    }

    /// The share of pictures whose digit it names.
    pub fn accuracy(&self, batch: &Batch) -> Result<f32> {
        let first = self.hidden[0].forward(patches(&batch.pictures, self.scale))?;
        let second = self.hidden[1].forward(channels_last(&first.output))?;
        let scores = self.classes.forward(&flat(&second.output));
        let named = |row: ndarray::ArrayView1<f32>| {
            let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            best.map_or(0, |(class, _)| class)
        };
        let right = scores.outer_iter().zip(&batch.labels).filter(|(row, label)| named(row.view()) == **label).count();
        Ok(right as f32 / batch.labels.len() as f32)
    }
}
