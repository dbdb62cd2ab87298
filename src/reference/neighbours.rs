//! What stands beside a norm, after it: modulation, an added tensor, the activation.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use ndarray::{ArrayD, ArrayView1, Axis, Zip};

use super::backward::{Gradient, Gradients, backward, of};
use super::forward::{Forward, layer};
use super::instances::view;
use super::moments::sum;
use super::state::State;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::spec::{Activation, Mode, NormSpec};

/// Tensors beside a norm: `activation((norm(x)·scale + shift) + c)`. What is added before the norm is the caller's to add, since a
/// layer on the GPU rounds it to the element type.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Neighbours {
    /// `[N, C]`, of layer and RMS norm `[N, *normalized_shape]`; 1 is added to it where that is meant.
    pub scale: Option<ArrayD<f64>>,
    /// Of `scale`'s shape.
    pub shift: Option<ArrayD<f64>>,
    /// Of the input's shape.
    pub add_after: Option<ArrayD<f64>>,
}

impl Neighbours {
    /// The scale and the shift, and which of their values each element has, in order.
    fn modulation(&self, spec: &NormSpec, x: &ArrayD<f64>) -> Result<Option<Modulation>> {
        let (Some(scale), Some(shift)) = (&self.scale, &self.shift) else { return Ok(None) };
        let trailing = matches!(spec, NormSpec::Layer(_) | NormSpec::Rms(_));
        let expected = [&x.shape()[..1], &spec.parameter_shape()].concat();
        for (what, array) in [("scale", scale), ("shift", shift)] {
            check(what, array, &expected)?;
        }
        let (rows, channels, spatial) = view(spec, x).dim();
        let (rows_of_sample, of_sample) = (rows / expected[0].max(1), scale.len() / expected[0].max(1));
        let place = |element: usize| {
            let (row, channel, position) =
                (element / (channels * spatial), element / spatial % channels, element % spatial);
            row / rows_of_sample * of_sample + if trailing { position } else { channel }
        };
        let (scale, shift) = (scale.iter().copied().collect(), shift.iter().copied().collect());
        Ok(Some(Modulation { shape: expected, scale, shift, places: (0..x.len()).map(place).collect() }))
    }
}

struct Modulation {
    shape: Vec<usize>,
    scale: Vec<f64>,
    shift: Vec<f64>,
    places: Vec<usize>,
}

impl Modulation {
    /// The sums of `terms` over the elements that share a value.
    fn sums(&self, terms: &ArrayD<f64>) -> ArrayD<f64> {
        let mut values = vec![vec![]; self.scale.len()];
        self.places.iter().zip(terms).for_each(|(&place, &term)| values[place].push(term));
        let sums = values.iter().map(|values| sum(values)).collect();
        ArrayD::from_shape_vec(self.shape.clone(), sums).expect("one sum for each value")
    }
}

fn check(what: &'static str, array: &ArrayD<f64>, expected: &[usize]) -> Result<()> {
    if array.shape() == expected {
        return Ok(());
    }
    Err(Error::Shape { what, expected: expected.to_vec(), found: array.shape().to_vec() })
}

/// One forward pass: moves `state` as torch does and returns the output. Where `var + eps` is 0, `r` is 0. The spec's
/// activation is applied; [`forward_beside`] has other neighbours too.
///
/// # Errors
/// Those of [`NormSpec::validate`] and those that a layer on the GPU gives for this shape;
/// [`MissingKey`](crate::Error::MissingKey), [`UnexpectedKeys`](crate::Error::UnexpectedKeys) and
/// [`KeyShape`](crate::Error::KeyShape) for a `state` that is not one of this `spec`. `state` is then unchanged.
pub fn forward(spec: &NormSpec, mode: Mode, state: &mut State, x: &ArrayD<f64>) -> Result<Forward> {
    forward_beside(spec, mode, state, x, &Neighbours::default())
}

/// As [`forward`], with neighbours. The magnitude of an output is that of the layer's, times |scale|, with
/// |shift| and |c| added, times the steepest slope of the activation (leaky relu's own or 1, silu's 1.1, gelu's 1.13), and once
/// more the size of what goes into it, which the activation's own roundings are relative to.
///
/// # Errors
/// As [`forward`]; [`Error::Shape`] for a neighbour of another shape.
pub fn forward_beside(
    spec: &NormSpec,
    mode: Mode,
    state: &mut State,
    x: &ArrayD<f64>,
    neighbours: &Neighbours,
) -> Result<Forward> {
    neighbours.add_after.iter().try_for_each(|c| check("the tensor added after", c, x.shape()))?;
    let mut forward = layer(spec, mode, state, x)?;
    if x.is_empty() {
        return Ok(forward);
    }
    if let Some(modulation) = neighbours.modulation(spec, x)? {
        forward.roundings += 3;
        let both = forward.output.iter_mut().zip(&mut forward.magnitude).zip(modulation.places);
        both.for_each(|((output, magnitude), place)| {
            let (scale, shift) = (modulation.scale[place], modulation.shift[place]);
            *output = *output * scale + shift;
            *magnitude = *magnitude * scale.abs() + shift.abs();
        });
    }
    if let Some(c) = &neighbours.add_after {
        forward.roundings += 1;
        forward.output += c;
        forward.magnitude += &c.mapv(f64::abs);
    }
    let activation = spec.activation();
    if activation != Activation::Identity {
        forward.roundings += 4;
        forward.magnitude = forward.magnitude * activation.steepness() + forward.output.mapv(f64::abs);
        forward.output.mapv_inplace(|r| activate(activation, r));
    }
    Ok(forward)
}

/// The gradients of a layer with neighbours. What is added before it has the input's.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NeighbourGradients {
    /// Of the layer alone.
    pub layer: Gradients,
    /// Of the scale, in its shape.
    pub scale: Option<Gradient>,
    /// Of the shift, likewise.
    pub shift: Option<Gradient>,
    /// Of what is added after, whether or not anything is.
    pub add_after: Gradient,
    /// Of a value of each sample's channel that is added before, `[N, C]`: the sum of the input's over the channel. Of layer and RMS
    /// norm, which have no channels, there is none.
    pub add_before: Option<Gradient>,
}

impl NeighbourGradients {
    /// Those of whatever is there, by what they are of: `after` says whether something was added after, `by_channel` whether
    /// something was before.
    pub fn named(&self, after: bool, by_channel: bool) -> [(&'static str, Option<&Gradient>); 9] {
        let [input, weight, bias, mean_weight, var_weight] = self.layer.named();
        let add_after = ("add_after", Some(&self.add_after).filter(|_| after));
        let add_before = ("add_before", self.add_before.as_ref().filter(|_| by_channel));
        let (scale, shift) = (("scale", self.scale.as_ref()), ("shift", self.shift.as_ref()));
        [input, weight, bias, mean_weight, var_weight, add_after, scale, shift, add_before]
    }
}

/// As [`backward`], through neighbours: with the activation f, what goes into it, `dr = dy·f'(r)`, is the gradient of what is added
/// after; `Σ dr·z` and `Σ dr` over what shares them are those of the scale and the shift, with the layer's own output z, whose
/// gradients are those for `dz = dr·scale`.
///
/// The magnitudes are those of a layer whose `dy` is dz, of the scale `Σ |dr|·(m + |z|)` with the magnitude m of z, of the shift
/// `Σ |dr|`; and for what rounding takes from r and from f' as many more as
/// `(2·tol(r) + 16·u) / 32·u` times those of a pass whose `dr` is |dy|: f'' is at most 2, an f' is at most 16 roundings off, and 32·u
/// is the least factor of a magnitude in [`Gradient::tolerance`]. Where |r| is below tol(r), relu and leaky relu may have taken the
/// other side.
///
/// # Errors
/// As [`backward`] and [`forward_beside`].
pub fn backward_beside(
    spec: &NormSpec,
    mode: Mode,
    state: &State,
    x: &ArrayD<f64>,
    neighbours: &Neighbours,
    dy: &ArrayD<f64>,
) -> Result<NeighbourGradients> {
    check("dy", dy, x.shape())?;
    let activation = spec.activation();
    let plain = spec.clone().with_activation(Activation::Identity);
    let before = forward_beside(&plain, mode, &mut state.clone(), x, neighbours)?;
    let dr = Zip::from(dy).and(&before.output).map_collect(|dy, &r| dy * slope(activation, r));
    let u = 2f64.powi(-24);
    let off = match activation {
        Activation::Identity => 0.0,
        _ => (2.0 * before.tolerance(DType::F32).iter().fold(0.0, |most: f64, &t| most.max(t)) + 16.0 * u) / (32.0 * u),
    };
    let sizes = dr.mapv(f64::abs) + dy.mapv(|dy| dy.abs() * off);
    let (mut scale, mut shift, mut scales) = (None, None, ArrayD::ones(x.shape()));
    if let Some(modulation) = neighbours.modulation(spec, x)?.filter(|_| !x.is_empty()) {
        let z = layer(spec, mode, &mut state.clone(), x)?;
        let terms = x.len() / modulation.scale.len();
        let around = &z.magnitude + &z.output.mapv(f64::abs);
        let sums = |terms: ArrayD<f64>| modulation.sums(&terms);
        scale = Some(of(sums(&dr * &z.output), sums(&sizes * &around), terms.max(z.row_len)));
        shift = Some(of(sums(dr.clone()), sums(sizes.clone()), terms));
        scales.iter_mut().zip(&modulation.places).for_each(|(scale, &place)| *scale = modulation.scale[place]);
    }
    let mut gradients = backward(spec, mode, state, x, &(&dr * &scales))?;
    let rough = backward(spec, mode, state, x, &(dy.mapv(f64::abs) * scales.mapv(f64::abs)))?;
    for (gradient, (_, rough)) in gradients.all_mut().into_iter().zip(rough.named()) {
        if let (Some(gradient), Some(rough)) = (gradient, rough) {
            gradient.magnitude += &(&rough.magnitude * off);
        }
    }
    let channels = !matches!(spec, NormSpec::Layer(_) | NormSpec::Rms(_)) && x.ndim() > 2;
    let add_before = channels.then(|| {
        let Gradient { value, magnitude, terms } = &gradients.input;
        let planes = |array: &ArrayD<f64>| {
            let all = array.to_shape((x.shape()[0], x.shape()[1], x.shape()[2..].iter().product()));
            let sum = |plane: ArrayView1<f64>| sum(&plane.to_vec());
            all.expect("it has as many elements").map_axis(Axis(2), sum).into_dyn()
        };
        of(planes(value), planes(magnitude), *terms.max(&x.shape()[2..].iter().product()))
    });
    Ok(NeighbourGradients { layer: gradients, scale, shift, add_after: of(dr, sizes, 1), add_before })
}

/// The derivatives of [`activate`]; at 0 torch's.
fn slope(activation: Activation, r: f64) -> f64 {
    match activation {
        Activation::Identity => 1.0,
        Activation::Relu if r <= 0.0 => 0.0,
        Activation::LeakyRelu { negative_slope } if r <= 0.0 => f64::from(negative_slope),
        Activation::Relu | Activation::LeakyRelu { .. } => 1.0,
        Activation::Silu => {
            let sigmoid = 1.0 / (1.0 + (-r).exp());
            sigmoid * (1.0 + r * (1.0 - sigmoid))
        }
        Activation::Gelu => 0.5 * libm::erfc(-r * FRAC_1_SQRT_2) + r * (-0.5 * r * r).exp() / (2.0 * PI).sqrt(),
        Activation::GeluTanh => {
            let (inner, slope) = (r + 0.044715 * r.powi(3), 1.0 + 3.0 * 0.044715 * r * r);
            let tanh = ((2.0 / PI).sqrt() * inner).tanh();
            0.5 * (1.0 + tanh) + 0.5 * r * (1.0 - tanh * tanh) * (2.0 / PI).sqrt() * slope
        }
    }
}

/// Each of them by its definition.
pub(super) fn activate(activation: Activation, r: f64) -> f64 {
    match activation {
        Activation::Identity => r,
        Activation::Relu if r < 0.0 => 0.0,
        Activation::LeakyRelu { negative_slope } if r < 0.0 => r * f64::from(negative_slope),
        Activation::Relu | Activation::LeakyRelu { .. } => r,
        Activation::Silu => r / (1.0 + (-r).exp()),
        Activation::Gelu => r * (0.5 * libm::erfc(-r * FRAC_1_SQRT_2)),
        Activation::GeluTanh => 0.5 * r * (1.0 + ((2.0 / PI).sqrt() * (r + 0.044715 * r.powi(3))).tanh()),
    }
}
