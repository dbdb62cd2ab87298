//! Gradients through what stands beside a norm, held to the oracle; and the oracle to torch's autograd (`torch_neighbours`).

use std::collections::BTreeSet;

use gpunorm::reference::{self, Gradient, Neighbours, State};
use gpunorm::unstable::{Geometry, Strategy};
use gpunorm::{Activation, BatchNorm, DType, Error, Gpu, GpuNorm, LayerNorm, Mode, NormSpec, Tensor, Wanted};
use ndarray::{ArrayD, Zip};

use super::beside::{ACTIVATIONS, rounded, specs};
use super::compare::{self, compare};
use super::variants::{self, MODES};
use super::{adapters, backward, data};

struct Case {
    spec: NormSpec,
    mode: Mode,
    dtype: DType,
    state: State,
    x: ArrayD<f32>,
    a: Option<ArrayD<f32>>,
    c: Option<ArrayD<f32>>,
    dy: ArrayD<f32>,
    expected: reference::Gradients,
    added: Gradient,
    /// As of a layer alone.
    off: f64,
    r: f64,
}

impl Case {
    fn new(spec: &NormSpec, mode: Mode, shape: &[usize], dtype: DType, (before, after): (bool, bool)) -> Option<Case> {
        let geometry = Geometry::new(spec, mode, shape).ok()?;
        let values = |name| rounded(&data::values(name, shape, geometry.row_len), dtype);
        let (x, a, c) = (values("normal"), values("uniform"), values("uniform").mapv(|value| value / 4.0 - 1.0));
        let sum = if before { rounded(&(&x + &a), dtype) } else { x.clone() };
        let wide = sum.mapv(f64::from);
        let c = rounded(&c, dtype);
        let neighbours = Neighbours { add_after: after.then(|| c.mapv(f64::from)), ..Neighbours::default() };
        let state = data::state(spec);
        let plain = spec.clone().with_activation(Activation::Identity);
        let forward = reference::forward_beside(&plain, mode, &mut state.clone(), &wide, &neighbours).unwrap();
        // Where rounding may decide on which side of relu's edge an element is, nothing comes from it.
        let mut dy = values("normal").mapv(|value| 0.5 - value);
        Zip::from(&mut dy).and(&forward.output).and(&forward.tolerance(DType::F32)).for_each(|dy, r, off| {
            if r.abs() <= 2.0 * off {
                *dy = 0.0;
            }
        });
        let dy = rounded(&dy, dtype);
        let (expected, added) =
            reference::backward_beside(spec, mode, &state, &wide, &neighbours, &dy.mapv(f64::from)).unwrap();
        let (off, r) = backward::off(&forward, &wide);
        let (a, c) = (before.then_some(a), after.then_some(c));
        Some(Case { spec: spec.clone(), mode, dtype, state, x, a, c, dy, expected, added, off, r })
    }

    /// Whether it ran, and was right.
    fn check(&self, gpu: &Gpu, strategy: Strategy, wanted: Wanted) -> Result<bool, String> {
        let mut norm = GpuNorm::new(gpu, self.spec.clone()).unwrap();
        norm.load_state_dict(&compare::state_dict(&self.state), "").unwrap();
        norm.set_strategy(strategy);
        let tensor = |array: &ArrayD<f32>| Tensor::from_array_as(gpu, array, self.dtype).unwrap();
        let [a, c] = [&self.a, &self.c].map(|array| array.as_ref().map(tensor));
        let mut call = norm.call().mode(self.mode);
        if let Some(a) = &a {
            call = call.add_before(a);
        }
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
        let dy = self.dy.mapv(f64::from) * 2.0;
        let allowance = backward::allowance(self.off, self.r, &self.state, &dy);
        // What goes back is stored before the layer's own backward takes it.
        let stored = match (self.spec.activation(), self.dtype) {
            (Activation::Identity, _) | (_, DType::F32) => 0.0,
            (_, DType::F16) => 2f64.powi(-11),
            (_, _) => 2f64.powi(-8),
        };
        let expected = self.expected.named().into_iter().chain([("add_after", self.c.as_ref().map(|_| &self.added))]);
        for ((what, found), (_, expected)) in gradients.named().into_iter().zip(expected) {
            let of_input = ["input", "add_after"].contains(&what);
            let is_wanted = match wanted {
                Wanted::Input => of_input,
                Wanted::Parameters => !of_input,
                _ => true,
            };
            match (found, expected.filter(|_| is_wanted)) {
                (Some(found), Some(expected)) => {
                    let dtype = if of_input { self.dtype } else { DType::F32 };
                    let tolerance = expected.tolerance(dtype) + &expected.magnitude * stored + allowance(what);
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
                let beside = (turn / 6 % 2 == 1, turn / 12 % 2 == 1);
                let (dtype, mode) = (variants::turn(index + turn, shape).0, MODES[turn / 3 % 2]);
                let wanted = [Wanted::All, Wanted::All, Wanted::Input, Wanted::Parameters][turn % 4];
                let spec = spec.clone().with_activation(ACTIVATIONS[activation]);
                let Some(case) = Case::new(&spec, mode, shape, dtype, beside) else { continue };
                let place = || format!("{variant}, {spec:?}, {mode:?}, {shape:?}, {dtype}, {beside:?}, {wanted:?}");
                if case.check(&gpu, strategy, wanted).unwrap_or_else(|reason| panic!("{}: {reason}", place())) {
                    ran += 1;
                    seen.insert((activation, beside));
                }
            }
        }
    }
    assert_eq!(seen.len(), 24, "{seen:?}");
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

/// A gradient that is off must be seen.
#[test]
fn the_check_can_fail() {
    let spec = NormSpec::from(LayerNorm::new(8)).with_activation(Activation::Silu);
    let case = || Case::new(&spec, Mode::Training, &[2, 3, 8], DType::F32, (true, true)).unwrap();
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
    assert!(fails(&|case| *case.added.value.last_mut().unwrap() += 1e-4));
    assert!(fails(&|case| case.spec = case.spec.clone().with_activation(Activation::GeluTanh)));
}

/// Loops that record steps: the same as one by one, whatever is given for the gradient of what was added.
#[test]
fn recorded_again() {
    let gpu = adapters::first();
    let norm = GpuNorm::new(gpu, BatchNorm::new(4).activation(Activation::Relu)).unwrap();
    let tensor = |name| Tensor::from_array(gpu, &data::values(name, &[3, 4, 9, 8], 1)).unwrap();
    let (x, c, dy) = (tensor("normal"), tensor("uniform"), tensor("normal"));
    let (y, saved) = norm.call().add_after(&c).forward_saved(&x).unwrap();
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
    // Its tensor is no other one's, and is called what it is.
    let mut gradients = again.clone();
    gradients.add_after = Some(dy.clone());
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let error = norm.encode_backward(&mut encoder, &dy, &saved, &gradients).unwrap_err();
    let (what, with) = ("gradient of what was added after", "dy");
    assert!(matches!(error, Error::Aliasing { what: w, with: o } if [w, o] == [what, with]), "{error:?}");
    // Without an activation it is dy itself.
    let plain = GpuNorm::new(gpu, BatchNorm::new(4)).unwrap();
    let (_, saved) = plain.call().add_after(&c).forward_saved(&x).unwrap();
    let gradients = plain.backward(&dy, &saved).unwrap();
    assert_eq!(gradients.add_after.unwrap().to_array().unwrap(), dy.to_array().unwrap());
}
