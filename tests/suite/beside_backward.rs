//! Gradients through what stands beside a norm, held to the oracle; and the oracle to torch's autograd (`torch_neighbours`).

use std::collections::BTreeSet;

use gpunorm::reference::{self, NeighbourGradients, Neighbours, State};
use gpunorm::unstable::{Geometry, Strategy};
use gpunorm::{
    Activation, BatchNorm, DType, Error, Gpu, GpuNorm, Gradients, LayerNorm, Mode, NormSpec, RmsNorm, Tensor, Wanted,
};
use ndarray::{ArrayD, Zip};

use super::beside::{ACTIVATIONS, specs};
use super::compare::{self, compare};
use super::data::{MODES, rounded};
use super::torch_neighbours::by_plane;
use super::variants;
use super::{adapters, case, data};

struct Case {
    spec: NormSpec,
    mode: Mode,
    dtype: DType,
    state: State,
    x: ArrayD<f32>,
    a: Option<ArrayD<f32>>,
    /// A scale and a shift, and whether the scale is from 1.
    modulation: Option<(ArrayD<f32>, ArrayD<f32>, bool)>,
    c: Option<ArrayD<f32>>,
    dy: ArrayD<f32>,
    expected: NeighbourGradients,
    /// As of a layer alone.
    off: f64,
    r: f64,
}

/// What goes along; a modulation as a call knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Along {
    /// 1: like the input. 2: by channel, where there are any.
    before: usize,
    /// 1: from one, in f32. 2: in the element type.
    modulation: usize,
    after: bool,
}

impl Case {
    fn new(spec: &NormSpec, mode: Mode, shape: &[usize], dtype: DType, along: Along) -> Option<Case> {
        let geometry = Geometry::new(spec, mode, shape).ok()?;
        let values = |name| rounded(&data::values(name, shape, geometry.row_len), dtype);
        let (x, a, c) = (values("normal"), values("uniform"), values("uniform").mapv(|value| value / 4.0 - 1.0));
        let trailing = matches!(spec, NormSpec::Layer(_) | NormSpec::Rms(_));
        let by_channel = along.before == 2 && !trailing && shape.len() > 2;
        let a = if by_channel {
            rounded(&data::values("uniform", &[shape[0], spec.parameter_shape()[0]], geometry.row_len), dtype)
        } else {
            a
        };
        let added = if by_channel { by_plane(spec, &a, shape) } else { a.clone() };
        let sum = if along.before > 0 { rounded(&(&x + &added), dtype) } else { x.clone() };
        let wide = |array: &ArrayD<f32>| array.mapv(f64::from);
        let sum = wide(&sum);
        let c = rounded(&c, dtype);
        let by_sample = [&shape[..1], &spec.parameter_shape()].concat();
        if along.modulation > 0 && trailing && by_sample.len() > shape.len() {
            return None;
        }
        let of_samples = if along.modulation == 2 { dtype } else { DType::F32 };
        let of_sample = |name| rounded(&data::values(name, &by_sample, geometry.row_len), of_samples);
        let from_one = along.modulation == 1;
        let modulation = (along.modulation > 0).then(|| (of_sample("normal"), of_sample("uniform"), from_one));
        let one = f64::from(u8::from(from_one));
        let neighbours = Neighbours {
            scale: modulation.as_ref().map(|(scale, ..)| wide(scale) + one),
            shift: modulation.as_ref().map(|(_, shift, _)| wide(shift)),
            add_after: along.after.then(|| wide(&c)),
        };
        let state = data::state(spec);
        let plain = spec.clone().with_activation(Activation::Identity);
        let forward = reference::forward_beside(&plain, mode, &mut state.clone(), &sum, &neighbours).unwrap();
        // Where rounding may decide on which side of relu's edge an element is, nothing comes from it.
        let mut dy = values("normal").mapv(|value| 0.5 - value);
        Zip::from(&mut dy).and(&forward.output).and(&forward.tolerance(DType::F32)).for_each(|dy, r, off| {
            if r.abs() <= 2.0 * off {
                *dy = 0.0;
            }
        });
        let dy = rounded(&dy, dtype);
        let expected = reference::backward_beside(spec, mode, &state, &sum, &neighbours, &wide(&dy)).unwrap();
        let (off, r) = case::off(&forward, &sum);
        let (a, c) = ((along.before > 0).then_some(a), along.after.then_some(c));
        Some(Case { spec: spec.clone(), mode, dtype, state, x, a, modulation, c, dy, expected, off, r })
    }

    /// Whether it ran, and was right.
    fn check(&self, gpu: &Gpu, strategy: Strategy, wanted: Wanted) -> Result<bool, String> {
        let mut norm = GpuNorm::new(gpu, self.spec.clone()).unwrap();
        norm.load_state_dict(&compare::state_dict(&self.state), "").unwrap();
        norm.set_strategy(strategy);
        let tensor = |array: &ArrayD<f32>| Tensor::from_array_as(gpu, array, self.dtype).unwrap();
        let [a, c] = [&self.a, &self.c].map(|array| array.as_ref().map(tensor));
        let modulation = self.modulation.as_ref().map(|(scale, shift, from_one)| {
            let dtype = if *from_one { DType::F32 } else { self.dtype };
            let [scale, shift] = [scale, shift].map(|array| Tensor::from_array_as(gpu, array, dtype).unwrap());
            (scale, shift, from_one)
        });
        let mut call = norm.call().mode(self.mode);
        if let Some(a) = &a {
            call = call.add_before(a);
        }
        call = match &modulation {
            Some((scale, shift, true)) => call.modulate(scale, shift),
            Some((scale, shift, false)) => call.scale_and_shift(scale, shift),
            None => call,
        };
        if let Some(c) = &c {
            call = call.add_after(c);
        }
        // A backward needs the sum.
        let refused = |error: &Error| variants::may_be_refused_beside(gpu, self.dtype, self.a.is_some(), error);
        let (_, saved) = match call.forward_saved(&tensor(&self.x)) {
            Err(error) if refused(&error) => return Ok(false),
            forward => forward.map_err(|error| error.to_string())?,
        };
        let gradients = match norm.backward_of(&tensor(&self.dy), &saved, wanted) {
            Err(error) if refused(&error) => return Ok(false),
            gradients => gradients.map_err(|error| error.to_string())?,
        };
        let scale = self.modulation.as_ref().map_or(1.0, |(scale, ..)| 1.0 + compare::largest(&scale.mapv(f64::from)));
        let dy = self.dy.mapv(f64::from) * (2.0 * scale);
        let allowance = case::gradient_allowance(self.off, self.r, &self.state, &dy);
        // What goes back is stored before the layer's own backward takes it, and dx before it is summed.
        let rounded = match self.dtype {
            DType::F32 => 0.0,
            DType::F16 => 2f64.powi(-11),
            _ => 2f64.powi(-8),
        };
        let activated = self.spec.activation() != Activation::Identity;
        let stored = |what| match what {
            "add_before" => rounded * f64::from(1 + u8::from(activated)),
            _ if activated => rounded,
            _ => 0.0,
        };
        let expected = self.expected.named(self.c.is_some(), self.a.as_ref().is_some_and(|a| a.ndim() < self.x.ndim()));
        for ((what, found), (_, expected)) in gradients.named().into_iter().zip(expected) {
            let beside = ["input", "add_after", "scale", "shift", "add_before"].contains(&what);
            let is_wanted = match wanted {
                Wanted::Input => beside,
                Wanted::Parameters => !beside,
                _ => true,
            };
            match (found, expected.filter(|_| is_wanted)) {
                (Some(found), Some(expected)) => {
                    let dtype = if ["input", "add_after"].contains(&what) { self.dtype } else { DType::F32 };
                    let tolerance = expected.tolerance(dtype) + &expected.magnitude * stored(what) + allowance(what);
                    compare(&found.to_array().unwrap(), &expected.value, &tolerance)
                        .map_err(|worst| format!("{what}, {worst}"))?;
                }
                (None, None) => {}
                (found, _) => return Err(format!("{what} is there: {}", found.is_some())),
            }
        }
        Ok(true)
    }
}

fn everywhere(shapes: &[&[usize]], stride: usize) {
    let (mut ran, mut seen, mut turn) = (0, BTreeSet::new(), 0);
    for (variant, gpu, strategy) in variants::everywhere() {
        for shape in shapes {
            for (index, spec) in specs(shape).iter().enumerate().skip(turn % 3).step_by(3) {
                turn += stride;
                let activation = turn % ACTIVATIONS.len();
                let along = Along { before: turn / 6 % 3, modulation: turn / 18 % 3, after: turn / 54 % 2 == 1 };
                let (dtype, mode) = (data::turn(index + turn, shape).0, MODES[turn / 3 % 2]);
                let wanted = [Wanted::All, Wanted::All, Wanted::Input, Wanted::Parameters][turn % 4];
                let spec = spec.clone().with_activation(ACTIVATIONS[activation]);
                let Some(case) = Case::new(&spec, mode, shape, dtype, along) else { continue };
                let place = || format!("{variant}, {spec:?}, {mode:?}, {shape:?}, {dtype}, {along:?}, {wanted:?}");
                if case.check(&gpu, strategy, wanted).unwrap_or_else(|reason| panic!("{}: {reason}", place())) {
                    ran += 1;
                    let choices = [along.before, along.modulation, usize::from(along.after)];
                    seen.extend(choices.into_iter().enumerate().map(|choice| (activation, choice)));
                }
            }
        }
    }
    // Each activation with each choice of what goes along.
    assert_eq!(seen.len(), ACTIVATIONS.len() * 8, "{seen:?}");
    assert!(ran > 30 * adapters::count(), "only {ran} runs");
}

#[test]
fn of_few_positions() {
    everywhere(&[&[3, 6], &[5, 4, 1], &[3, 4, 7, 7]], 41);
}

#[test]
fn of_planes() {
    everywhere(&[&[2, 6, 16], &[2, 6, 8, 12]], 37);
}

/// Positions of a sample share its modulation: sums within samples of an even, an odd and a prime number of rows.
#[test]
fn of_tokens() {
    let mut turn = 0;
    for (variant, gpu, strategy) in variants::everywhere() {
        for shape in [[3, 6, 64], [2, 7, 33], [4, 1, 40], [2, 19, 512]] {
            let layer = LayerNorm::new(shape[2]);
            for spec in [layer.clone().into(), RmsNorm::new(shape[2]).into(), NormSpec::from(layer.affine(false))] {
                turn += 1;
                let spec = spec.with_activation(ACTIVATIONS[turn / 3 % 2 * 3]);
                let along =
                    Along { before: usize::from(turn % 5 == 0), modulation: 1 + turn % 2, after: turn % 3 == 0 };
                let dtype = data::turn(turn, &shape).0;
                let wanted = [Wanted::All, Wanted::All, Wanted::Input, Wanted::Parameters][turn % 4];
                let case = Case::new(&spec, Mode::Training, &shape, dtype, along).unwrap();
                let place = || format!("{variant}, {spec:?}, {shape:?}, {dtype}, {along:?}, {wanted:?}");
                case.check(&gpu, strategy, wanted).unwrap_or_else(|reason| panic!("{}: {reason}", place()));
            }
        }
    }
}

/// A gradient that is off must be seen.
#[test]
fn the_check_can_fail() {
    let spec = NormSpec::from(LayerNorm::new(8)).with_activation(Activation::Silu);
    let along = Along { before: 1, modulation: 1, after: true };
    let case = || Case::new(&spec, Mode::Training, &[2, 3, 8], DType::F32, along).unwrap();
    let fails = |change: &dyn Fn(&mut Case)| {
        let mut case = case();
        change(&mut case);
        case.check(adapters::first(), Strategy::default(), Wanted::All).is_err()
    };
    assert!(!fails(&|_| {}));
    let nudge = |array: &mut ArrayD<f32>| *array.last_mut().unwrap() += 0.1;
    assert!(fails(&|case| nudge(case.a.as_mut().unwrap())));
    assert!(fails(&|case| nudge(case.c.as_mut().unwrap())));
    assert!(fails(&|case| nudge(&mut case.dy)));
    assert!(fails(&|case| nudge(&mut case.modulation.as_mut().unwrap().0)));
    assert!(fails(&|case| nudge(&mut case.modulation.as_mut().unwrap().1)));
    assert!(fails(&|case| *case.expected.add_after.value.last_mut().unwrap() += 1e-4));
    assert!(fails(&|case| *case.expected.scale.as_mut().unwrap().value.last_mut().unwrap() += 1e-2));
    assert!(fails(&|case| *case.expected.shift.as_mut().unwrap().value.last_mut().unwrap() += 1e-3));
    assert!(fails(&|case| case.spec = case.spec.clone().with_activation(Activation::GeluTanh)));
}

/// Loops that record steps: the same as one by one, whatever is given for the gradient of what was added.
#[test]
fn recorded_again() {
    let gpu = adapters::first();
    let norm = GpuNorm::new(gpu, BatchNorm::new(4).activation(Activation::Relu)).unwrap();
    let tensor = |name| Tensor::from_array(gpu, &data::values(name, &[3, 4, 9, 8], 1)).unwrap();
    let (x, c, dy) = (tensor("normal"), tensor("uniform"), tensor("normal"));
    let [scale, shift] =
        ["normal", "uniform"].map(|name| Tensor::from_array(gpu, &data::values(name, &[3, 4], 1)).unwrap());
    let (y, saved) = norm.call().modulate(&scale, &shift).add_after(&c).forward_saved(&x).unwrap();
    let once = norm.backward(&dy, &saved).unwrap();
    let again = norm.zero_gradients(&saved).unwrap();
    let other = Tensor::zeros(gpu, x.shape(), DType::F32).unwrap();
    for given in [again.add_after.clone(), Some(other)] {
        let mut gradients = again.clone();
        gradients.add_after = given;
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        norm.encode_forward_again(&mut encoder, &y, &saved).unwrap();
        norm.encode_backward(&mut encoder, &dy, &saved, &gradients).unwrap();
        gpu.queue().submit([encoder.finish()]);
        for ((what, found), (_, expected)) in gradients.named().into_iter().zip(once.named()) {
            let array = |tensor: Option<&Tensor>| tensor.map(|tensor| tensor.to_array().unwrap());
            assert_eq!(array(found), array(expected), "{what}");
        }
    }
    // Parameters' gradients are added up, a modulation's are not; one of its two may be wanted alone.
    let twice = norm.zero_gradients(&saved).unwrap().accumulate(true);
    for _ in 0..2 {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        norm.encode_backward(&mut encoder, &dy, &saved, &twice).unwrap();
        gpu.queue().submit([encoder.finish()]);
    }
    let array = |tensor: &Option<Tensor>| tensor.as_ref().unwrap().to_array().unwrap();
    assert_eq!(array(&twice.weight), array(&once.weight) * 2.0);
    assert_eq!(array(&twice.bias), array(&once.bias) * 2.0);
    assert_eq!(array(&twice.scale), array(&once.scale));
    let mut alone = Gradients::default();
    alone.shift = Some(Tensor::zeros(gpu, &[3, 4], DType::F32).unwrap());
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    norm.encode_backward(&mut encoder, &dy, &saved, &alone).unwrap();
    gpu.queue().submit([encoder.finish()]);
    assert_eq!(array(&alone.shift), array(&once.shift));
    // Its tensor is no other one's, and is called what it is.
    let mut gradients = again.clone();
    gradients.add_after = Some(dy.clone());
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let error = norm.encode_backward(&mut encoder, &dy, &saved, &gradients).unwrap_err();
    let (what, with) = ("gradient of what was added after", "dy");
    assert!(matches!(error, Error::Aliasing { what: w, with: o } if [w, o] == [what, with]), "{error:?}");
    // Nor is there a gradient of what did not go along, or in another shape.
    let (_, unmodulated) = norm.call().add_after(&c).forward_saved(&x).unwrap();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let error = norm.encode_backward(&mut encoder, &dy, &unmodulated, &alone).unwrap_err();
    assert!(matches!(error, Error::NoParameter { name: "shift" }), "{error:?}");
    alone.shift = Some(Tensor::zeros(gpu, &[4], DType::F32).unwrap());
    let error = norm.encode_backward(&mut encoder, &dy, &saved, &alone).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error:?}");
    // Of an empty input they are sums of nothing.
    let nothing = Tensor::zeros(gpu, &[3, 4, 0], DType::F32).unwrap();
    let (y, saved) = norm.call().mode(Mode::Evaluation).modulate(&scale, &shift).forward_saved(&nothing).unwrap();
    let gradients = norm.backward(&y, &saved).unwrap();
    assert_eq!(array(&gradients.scale), ArrayD::<f32>::zeros(vec![3, 4]));
    // Without an activation it is dy itself.
    let plain = GpuNorm::new(gpu, BatchNorm::new(4)).unwrap();
    let (_, saved) = plain.call().add_after(&c).forward_saved(&x).unwrap();
    let gradients = plain.backward(&dy, &saved).unwrap();
    assert_eq!(gradients.add_after.unwrap().to_array().unwrap(), dy.to_array().unwrap());
}
