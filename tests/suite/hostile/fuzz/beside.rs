//! A case with what can stand beside its layer, drawn from the same number: a sum before it, a modulation, a sum after it, an
//! activation.

use gpunorm::{Activation, Call, DType, Error, Gpu, Gradients, Tensor};

use super::super::super::data::Random;
use super::case::{Arrays, Case, once_in, pick, rounded};
use super::exact::{Exact, Wanted};
use super::layer::Kind;
use super::placed::Placed;
use super::run::{FORWARDS, Failure, Off, check_state, layer, near};

/// What is added before.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Before {
    Nothing,
    /// In the input's shape.
    Like,
    /// `[N, C]`.
    Planes,
}

#[derive(Debug, Clone)]
pub struct Beside {
    before: Before,
    keeps: bool,
    /// Whether the scale is from one; it is in the element type if not.
    modulation: Option<bool>,
    after: bool,
    activation: Activation,
}

/// All that goes along, as the device holds it, in the order of `[N, C, *]` or `[*, normalized]`.
struct Values {
    x: Vec<f32>,
    dy: Vec<f32>,
    added: Vec<f32>,
    sum: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
    after: Vec<f32>,
}

impl Beside {
    /// What goes along with a case, if something can.
    pub fn of(case: &Case) -> Option<Beside> {
        let mut random = Random::new(case.seed.rotate_left(17));
        let samples = !case.layer.is_trailing() || case.shape.len() > case.layer.trailing;
        let samples =
            samples && !(case.layer.kind == Kind::Instance && (case.layer.unbatched || case.shape.len() == 2));
        let planes = samples && !case.layer.is_trailing() && case.shape.len() > 2;
        let before = pick(&mut random, &[Before::Nothing, Before::Like, Before::Planes]);
        let beside = Beside {
            before: if before == Before::Planes && !planes { Before::Like } else { before },
            keeps: once_in(&mut random, 2),
            modulation: pick(&mut random, &[None, Some(true), Some(false)]).filter(|_| samples),
            after: once_in(&mut random, 3),
            activation: pick(
                &mut random,
                &[
                    Activation::Identity,
                    Activation::Identity,
                    Activation::Relu,
                    Activation::LeakyRelu { negative_slope: 0.2 },
                    Activation::Silu,
                    Activation::GeluTanh,
                ],
            ),
        };
        let empty = case.shape.contains(&0) || beside.values(case).sum.iter().any(|value| !value.is_finite());
        (!empty).then_some(beside)
    }

    fn values(&self, case: &Case) -> Values {
        let mut random = Random::new(case.seed.rotate_left(49));
        let [x, dy] = case.tensors();
        let len = x.len();
        let mut normal = |len: usize, size: f64, dtype| -> Vec<f32> {
            (0..len).map(|_| rounded(size * random.normal(), dtype)).collect()
        };
        let [n, c, s] = case.layer.view(&case.shape);
        let added = match self.before {
            Before::Nothing => vec![],
            Before::Like => normal(len, 3.0, case.dtype),
            Before::Planes => normal(n * c, 3.0, case.dtype),
        };
        let of = |i: usize| match self.before {
            Before::Nothing => 0.0,
            Before::Like => added[i],
            Before::Planes => added[i / s],
        };
        let sum = x.iter().enumerate().map(|(i, x)| rounded(f64::from(x + of(i)), case.dtype)).collect();
        let of_sample = if case.layer.is_trailing() { s } else { c };
        let count = self.modulation.map_or(0, |_| case.shape[0] * of_sample);
        let dtype = self.of_samples(case);
        Values {
            scale: normal(count, 0.5, dtype),
            shift: normal(count, 1.0, dtype),
            after: normal(len, 1.0, case.dtype),
            x,
            dy,
            added,
            sum,
        }
    }

    pub fn adds_before(&self) -> bool {
        self.before != Before::Nothing
    }

    fn of_samples(&self, case: &Case) -> DType {
        if self.modulation == Some(false) { case.dtype } else { DType::F32 }
    }

    /// Runs it on a device of `gpu` with the case's numbers.
    pub fn check(&self, case: &Case, gpu: &Gpu) -> Result<(), Failure> {
        let restricted = gpu.with_caps(case.caps(gpu.caps()));
        let (values, arrays) = (self.values(case), case.arrays());
        let spec = case.layer.spec(&case.shape).with_activation(self.activation);
        let norm = layer(case, spec, &arrays, &restricted)?;
        let mut placed = vec![];
        let mut place = |shape: &[usize], values: &[f32], dtype| -> Result<Tensor, Failure> {
            let offset = restricted.caps().alignment.next_multiple_of(16) * (placed.len() as u64 % 3);
            placed.push(Placed::new(&restricted, offset, shape, values, dtype)?);
            Ok(placed[placed.len() - 1].tensor.clone())
        };
        let shape = &case.given_shape();
        let mut like = |values: &[f32]| place(shape, &case.given(values), case.dtype);
        let [x, dy, after] = [like(&values.x)?, like(&values.dy)?, like(&values.after)?];
        let [y, kept] = [like(&values.x)?, like(&values.x)?];
        let planes = case.layer.view(&case.shape);
        let added = match self.before {
            Before::Nothing => None,
            Before::Like => Some(like(&values.added)?),
            Before::Planes => Some(place(&planes[..2], &values.added, case.dtype)?),
        };
        let of_samples = [&case.shape[..1], &norm.spec().parameter_shape()].concat();
        let mut of_sample = |values| place(&of_samples, values, self.of_samples(case));
        let modulation = match self.modulation {
            None => None,
            Some(from_one) => Some((of_sample(&values.scale)?, of_sample(&values.shift)?, from_one)),
        };
        let call = |keeps: bool| -> Call {
            let call = norm.call();
            let call = added.iter().fold(call, |call, added| call.add_before(added));
            let call = if keeps && added.is_some() { call.keep_sum(&kept) } else { call };
            let call = match &modulation {
                None => call,
                Some((scale, shift, true)) => call.modulate(scale, shift),
                Some((scale, shift, false)) => call.scale_and_shift(scale, shift),
            };
            if self.after { call.add_after(&after) } else { call }
        };
        let mut encoder = restricted.device().create_command_encoder(&Default::default());
        call(self.keeps).encode_forward(&mut encoder, &x, &y)?;
        restricted.queue().submit([encoder.finish()]);
        let (again, saved) = call(false).forward_saved(&x)?;

        let one = if self.modulation == Some(true) { 1.0 } else { 0.0 };
        let folded =
            self.modulation.map(|_| Folded::new(&arrays, &values, one, norm.spec().parameter_shape().iter().product()));
        let sample_arrays = folded.as_ref().map_or(&arrays, |folded| &folded.arrays);
        let mut exact = Exact::new(&case.layer, sample_arrays, &case.shape, case.mode, &values.sum);
        exact.samples = if folded.is_some() { case.shape[0] } else { 1 };
        let mut output = exact.output();
        for (i, (value, size)) in output.values.iter_mut().zip(&mut output.magnitudes).enumerate() {
            let after = if self.after { f64::from(values.after[i]) } else { 0.0 };
            let parts = folded.as_ref().map_or(0.0, |folded| folded.sizes[exact.parameter(i)]);
            *value = activated(self.activation, *value + after);
            // No activation is steeper.
            *size = 1.2 * (*size + parts + after.abs());
        }
        let read = |tensor: &Tensor| -> Result<Vec<f32>, Error> {
            Ok(case.taken(&tensor.to_array()?.into_raw_vec_and_offset().0))
        };
        let off = Off { before: 0.0, lost: f64::from(f32::MIN_POSITIVE) * 1e3 };
        near("output", &read(&y)?, &output, case.dtype, off)?;
        near("output of the saved forward", &read(&again)?, &output, case.dtype, off)?;
        if self.keeps && added.is_some() && read(&kept)? != values.sum {
            return Err(Failure::Wrong("the kept sum is another".into()));
        }
        let running = case.moves().then(|| exact.running(FORWARDS));
        check_state(case, &arrays, running.as_ref(), &norm, off)?;
        if self.activation == Activation::Identity {
            self.check_gradients(case, &norm.backward(&dy, &saved)?, &exact, &values, folded.as_ref(), off)?;
        }
        for (number, placed) in placed.iter().enumerate() {
            let written = number == 3 || number == 4;
            let check = if written { Placed::check_guard } else { Placed::check_unchanged };
            check(placed, gpu).map_err(|reason| format!("around the {number}th tensor: {reason}"))?;
        }
        Ok(())
    }
    /// Where no activation hides an edge from what is computed here.
    fn check_gradients(
        &self,
        case: &Case,
        found: &Gradients,
        exact: &Exact,
        values: &Values,
        folded: Option<&Folded>,
        off: Off,
    ) -> Result<(), Failure> {
        let read = |tensor: &Option<Tensor>| -> Result<Option<Vec<f32>>, Error> {
            tensor.as_ref().map(|tensor| Ok(tensor.to_array()?.into_raw_vec_and_offset().0)).transpose()
        };
        let check = |what: &str, found: &Option<Tensor>, wanted: Option<Wanted>| match (read(found)?, wanted) {
            (Some(found), Some(wanted)) => {
                near(&format!("{what}'s gradient"), &found, &wanted, DType::F32, off).map_err(Failure::from)
            }
            (None, None) => Ok(()),
            (found, _) => Err(format!("{what}'s gradient is there: {}", found.is_some()).into()),
        };
        let [input, mut weight, mut bias, mean_weight, var_weight] = exact.gradients(&values.dy);
        let input = input.expect("of an input with elements");
        let dx = case.taken(&read(&found.input)?.expect("the input's gradient"));
        near("the input's gradient", &dx, &input, case.dtype, off)?;
        let [mut scale, mut shift] = [None, None];
        if let Some(folded) = folded {
            let dy: Vec<f64> = values.dy.iter().map(|&dy| f64::from(dy)).collect();
            let [of_weight, of_bias] = exact.affine(&dy);
            let of_layer = folded.of_layer(&of_weight, &of_bias);
            [weight, bias] = [weight.map(|_| of_layer[0].clone()), bias.map(|_| of_layer[1].clone())];
            [scale, shift] = [Some(folded.of_scale(&of_weight, &of_bias)), Some(of_bias)];
        }
        check("weight", &found.weight, weight)?;
        check("bias", &found.bias, bias)?;
        check("mean_weight", &found.mean_weight, mean_weight)?;
        check("var_weight", &found.var_weight, var_weight)?;
        check("scale", &found.scale, scale)?;
        check("shift", &found.shift, shift)?;
        if let Some(after) = read(&found.add_after)? {
            let same = case.taken(&after) == values.dy;
            same.then_some(()).ok_or("add_after's gradient is not dy".to_owned())?;
        }
        let planes = (self.before == Before::Planes).then(|| {
            let sums = dx.chunks(exact.sizes[2]);
            let sum = |of: fn(f64) -> f64| sums.clone().map(|dx| dx.iter().map(|&dx| of(dx.into())).sum()).collect();
            Wanted { values: sum(|dx| dx), magnitudes: sum(f64::abs), roundings: 8.0 }
        });
        check("add_before", &found.add_before, planes)
    }
}

/// A layer's parameters, multiplied out with a modulation: of each sample.
struct Folded<'a> {
    arrays: Arrays,
    /// What rounding errors in a bias are relative to.
    sizes: Vec<f64>,
    /// The layer's own.
    own: &'a Arrays,
    scale: Vec<f64>,
    /// Parameters of a sample.
    count: usize,
}

impl<'a> Folded<'a> {
    fn new(own: &'a Arrays, values: &Values, one: f64, count: usize) -> Folded<'a> {
        let scale: Vec<f64> = values.scale.iter().map(|&scale| one + f64::from(scale)).collect();
        let weight = scale.iter().enumerate().map(|(i, scale)| scale * own.weight(i % count)).collect();
        let scaled = |i: usize| scale[i] * own.bias(i % count);
        let bias = |(i, &shift): (usize, &f32)| scaled(i) + f64::from(shift);
        let size = |(i, &shift): (usize, &f32)| scaled(i).abs() + f64::from(shift.abs());
        let bias = values.shift.iter().enumerate().map(bias).collect();
        let sizes = values.shift.iter().enumerate().map(size).collect();
        Folded { arrays: Arrays { weight, bias, ..own.clone() }, sizes, own, scale, count }
    }

    /// The gradients of the layer's weight and bias: sums over samples.
    fn of_layer(&self, weight: &Wanted, bias: &Wanted) -> [Wanted; 2] {
        [weight, bias].map(|of_samples| {
            let samples = self.scale.len() / self.count;
            let sum = |values: &[f64], factor: &dyn Fn(usize) -> f64| {
                let terms = |own| (own..values.len()).step_by(self.count).map(|i| values[i] * factor(i));
                (0..self.count).map(|own| terms(own).sum()).collect()
            };
            Wanted {
                values: sum(&of_samples.values, &|i| self.scale[i]),
                magnitudes: sum(&of_samples.magnitudes, &|i| self.scale[i].abs()),
                roundings: of_samples.roundings + 2.0 + (samples as f64).log2(),
            }
        })
    }

    fn of_scale(&self, weight: &Wanted, bias: &Wanted) -> Wanted {
        let own = |i: usize| {
            let at = i % self.count;
            (self.own.weight(at), self.own.bias(at))
        };
        let both = |weights: &[f64], biases: &[f64], size: fn(f64) -> f64| {
            let value = |(i, (weight, bias)): (usize, (&f64, &f64))| size(own(i).0) * weight + size(own(i).1) * bias;
            weights.iter().zip(biases).enumerate().map(value).collect()
        };
        Wanted {
            values: both(&weight.values, &bias.values, |own| own),
            magnitudes: both(&weight.magnitudes, &bias.magnitudes, f64::abs),
            roundings: weight.roundings.max(bias.roundings) + 2.0,
        }
    }
}

fn activated(activation: Activation, r: f64) -> f64 {
    match activation {
        Activation::Identity => r,
        Activation::Relu => r.max(0.0),
        Activation::LeakyRelu { negative_slope } => {
            if r > 0.0 {
                r
            } else {
                r * f64::from(negative_slope)
            }
        }
        Activation::Silu => r / (1.0 + (-r).exp()),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (r + 0.044715 * r.powi(3));
            0.5 * r * (1.0 + inner.tanh())
        }
        other => unreachable!("{other:?} is not drawn"),
    }
}
