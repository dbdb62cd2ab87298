//! What stands beside a norm, in its pass: every choice of neighbours, beside every other, held to the oracle.

use std::collections::BTreeSet;

use gpunorm::reference::{self, State};
use gpunorm::unstable::{Caps, Geometry, Gradient, Modulation, Neighbours, Pass, Strategy};
use gpunorm::{
    Activation, BatchNorm, DType, Error, Gpu, GpuNorm, GroupNorm, LayerNorm, Mode, NormSpec, Plan, RmsNorm, Tensor,
};
use ndarray::ArrayD;

use super::compare::{self, compare};
use super::data::{MODES, rounded};
use super::torch_neighbours::by_plane;
use super::variants;
use super::{adapters, data};

pub const ACTIVATIONS: [Activation; 6] = [
    Activation::Identity,
    Activation::Relu,
    Activation::LeakyRelu { negative_slope: 0.2 },
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluTanh,
];

/// What one call takes along; each choice is a number, 0 for none.
#[derive(Debug, Clone, Copy)]
struct Choice {
    /// 1: added before. 2: and the sum is kept. 3 and 4: the same by channel, where there are any.
    sum: usize,
    /// 1: from one, in f32. 2: in the element type.
    modulation: usize,
    /// 1: added after.
    after: usize,
    activation: usize,
}

impl Choice {
    fn all() -> Vec<Choice> {
        let number = |i: usize| Choice { sum: i % 5, modulation: i / 5 % 3, after: i / 15 % 2, activation: i / 30 };
        (0..180).map(number).collect()
    }

    /// Each two of its choices.
    fn pairs(self) -> impl Iterator<Item = [(usize, usize); 2]> {
        let choices = [self.sum, self.modulation, self.after, self.activation];
        (0..4).flat_map(move |a| (a + 1..4).map(move |b| [(a, choices[a]), (b, choices[b])]))
    }
}

struct Case {
    spec: NormSpec,
    mode: Mode,
    dtype: DType,
    choice: Choice,
    before: State,
    x: ArrayD<f32>,
    a: ArrayD<f32>,
    c: ArrayD<f32>,
    scale: ArrayD<f32>,
    shift: ArrayD<f32>,
    sum: ArrayD<f32>,
    after: State,
    expected: reference::Forward,
}

impl Case {
    fn new(spec: &NormSpec, mode: Mode, shape: &[usize], dtype: DType, choice: Choice) -> Option<Case> {
        let spec = spec.clone().with_activation(ACTIVATIONS[choice.activation]);
        let geometry = Geometry::new(&spec, mode, shape).ok()?;
        let trailing = matches!(spec, NormSpec::Layer(_) | NormSpec::Rms(_));
        let by_sample = [&shape[..1], &spec.parameter_shape()].concat();
        if choice.modulation > 0 && by_sample.len() > shape.len() && trailing {
            return None;
        }
        let values = |name, shape: &[usize], dtype| rounded(&data::values(name, shape, geometry.row_len), dtype);
        let of_samples = if choice.modulation == 2 { dtype } else { DType::F32 };
        let (x, a, c) = (
            values("normal", shape, dtype),
            values("uniform", shape, dtype),
            values("normal", shape, dtype).mapv(|value| 0.5 - value),
        );
        let by_channel = choice.sum > 2 && !trailing && shape.len() > 2;
        let a = if by_channel { values("uniform", &[shape[0], spec.parameter_shape()[0]], dtype) } else { a };
        let added = if by_channel { by_plane(&spec, &a, shape) } else { a.clone() };
        let c = rounded(&c, dtype);
        let scale = values("normal", &by_sample, of_samples);
        let shift = values("uniform", &by_sample, of_samples);
        let sum = if choice.sum > 0 { rounded(&(&x + &added), dtype) } else { x.clone() };
        let wide = |array: &ArrayD<f32>| array.mapv(f64::from);
        let one = f64::from(u8::from(choice.modulation == 1));
        let neighbours = reference::Neighbours {
            scale: (choice.modulation > 0).then(|| wide(&scale) + one),
            shift: (choice.modulation > 0).then(|| wide(&shift)),
            add_after: (choice.after > 0).then(|| wide(&c)),
        };
        let before = data::state(&spec);
        let mut after = before.clone();
        let expected = reference::forward_beside(&spec, mode, &mut after, &wide(&sum), &neighbours).unwrap();
        Some(Case { spec, mode, dtype, choice, before, x, a, c, scale, shift, sum, after, expected })
    }

    /// Whether it ran, and was right.
    fn check(&self, gpu: &Gpu, strategy: Strategy) -> Result<bool, String> {
        let mut norm = GpuNorm::new(gpu, self.spec.clone()).unwrap();
        norm.load_state_dict(&compare::state_dict(&self.before), "").unwrap();
        norm.set_strategy(strategy);
        let tensor = |array: &ArrayD<f32>, dtype| Tensor::from_array_as(gpu, array, dtype).unwrap();
        let [x, a, c] = [&self.x, &self.a, &self.c].map(|array| tensor(array, self.dtype));
        let of_samples = if self.choice.modulation == 2 { self.dtype } else { DType::F32 };
        let [scale, shift] = [&self.scale, &self.shift].map(|array| tensor(array, of_samples));
        let sum = Tensor::zeros(gpu, self.x.shape(), self.dtype).unwrap();
        let mut call = norm.call().mode(self.mode);
        if self.choice.sum > 0 {
            call = call.add_before(&a);
        }
        let keeps = self.choice.sum > 0 && self.choice.sum.is_multiple_of(2);
        if keeps {
            call = call.keep_sum(&sum);
        }
        call = match self.choice.modulation {
            1 => call.modulate(&scale, &shift),
            2 => call.scale_and_shift(&scale, &shift),
            _ => call,
        };
        if self.choice.after > 0 {
            call = call.add_after(&c);
        }
        let y = match call.forward_tensor(&x) {
            Err(error) if variants::may_be_refused_beside(gpu, self.dtype, keeps, &error) => {
                return Ok(false);
            }
            y => y.map_err(|error| error.to_string())?.to_array().unwrap(),
        };
        compare(&y, &self.expected.output, &self.tolerance()).map_err(|worst| format!("output, {worst}"))?;
        if keeps {
            let kept = sum.to_array().unwrap();
            let same = kept.iter().zip(&self.sum).all(|(kept, sum)| kept.to_bits() == sum.to_bits());
            same.then_some(()).ok_or("the kept sum is another")?;
        }
        let stored = self.sum.mapv(f64::from);
        let found = norm.state_dict("").map_err(|error| error.to_string())?;
        compare::check_statistics(&found, &self.before, &self.after, &stored, &self.expected)?;
        Ok(true)
    }

    /// As of a layer alone (`compare`), through what follows it.
    fn tolerance(&self) -> ArrayD<f64> {
        let scale = if self.choice.modulation > 0 { 1.0 + compare::largest(&self.scale.mapv(f64::from)) } else { 1.0 };
        let allowance = compare::allowance(&self.before, &self.sum.mapv(f64::from), &self.expected);
        self.expected.tolerance(self.dtype) + allowance * (2.0 * scale)
    }
}

pub fn specs(shape: &[usize]) -> Vec<NormSpec> {
    let mut specs = data::channel_specs(shape[1]);
    specs.extend(data::trailing_specs(shape, shape.len() - 1));
    // Those of rank 2 are no others.
    specs.extend(data::layout_specs(shape).into_iter().filter(|_| shape.len() > 2));
    specs
}

/// Shapes of every rank, with rows of odd, even and whole units, scattered or not.
fn everywhere(shapes: &[&[usize]], stride: usize) {
    let choices = Choice::all();
    let (mut ran, mut pairs, mut turn) = (0, BTreeSet::new(), 0);
    for (variant, gpu, strategy) in variants::everywhere() {
        for shape in shapes {
            // So that each spec meets many choices, and each choice many variants.
            for (index, spec) in specs(shape).iter().enumerate().skip(turn % 3).step_by(3) {
                turn += stride;
                // The next that brings the most new pairs.
                let new = |choice: &&Choice| choice.pairs().filter(|pair| !pairs.contains(pair)).count();
                let choice =
                    *choices.iter().cycle().skip(turn % choices.len()).take(choices.len()).max_by_key(new).unwrap();
                let (dtype, mode) = (data::turn(index + turn, shape).0, MODES[turn / 3 % 2]);
                let Some(case) = Case::new(spec, mode, shape, dtype, choice) else { continue };
                let place = || format!("{variant}, {:?}, {mode:?}, {shape:?}, {dtype}, {choice:?}", case.spec);
                if case.check(&gpu, strategy).unwrap_or_else(|reason| panic!("{}: {reason}", place())) {
                    ran += 1;
                    pairs.extend(choice.pairs());
                }
            }
        }
    }
    let all: BTreeSet<_> = choices.iter().flat_map(|choice| choice.pairs()).collect();
    assert_eq!(all.difference(&pairs).count(), 0, "pairs that nothing has met: {:?}", all.difference(&pairs));
    assert!(ran > 60 * adapters::count(), "only {ran} runs");
}

#[test]
fn channel_norms_of_few_positions() {
    everywhere(&[&[3, 6], &[5, 4, 1], &[1, 6, 5], &[3, 4, 7, 7]], 41);
}

#[test]
fn channel_norms_of_planes() {
    everywhere(&[&[2, 6, 16], &[2, 6, 8, 12], &[1, 2, 257, 9]], 37);
}

/// Positions of a sample share its modulation.
#[test]
fn tokens() {
    let choices = Choice::all();
    for (turn, (variant, gpu, strategy)) in variants::everywhere().enumerate() {
        for (index, shape) in [[3, 5, 64], [2, 7, 33], [2, 1, 1024]].iter().enumerate() {
            for (number, spec) in [NormSpec::from(LayerNorm::new(shape[2])), RmsNorm::new(shape[2]).into()]
                .into_iter()
                .chain([LayerNorm::new(shape[2]).affine(false).into()])
                .enumerate()
            {
                for &choice in choices.iter().skip((7 * index + 5 * number + 11 * turn) % 79).step_by(79) {
                    let dtype = [DType::F32, DType::F16, DType::BF16][(choice.activation + index) % 3];
                    let case = Case::new(&spec, Mode::Training, shape, dtype, choice).unwrap();
                    let place = || format!("{variant}, {:?}, {shape:?}, {dtype}, {choice:?}", case.spec);
                    case.check(&gpu, strategy).unwrap_or_else(|reason| panic!("{}: {reason}", place()));
                }
            }
        }
    }
}

/// One neighbour that is off must be seen.
#[test]
fn the_check_can_fail() {
    let spec = NormSpec::from(LayerNorm::new(8));
    let choice = Choice { sum: 2, modulation: 1, after: 1, activation: 3 };
    let case = || Case::new(&spec, Mode::Training, &[2, 3, 8], DType::F32, choice).unwrap();
    let fails = |change: &dyn Fn(&mut Case)| {
        let mut case = case();
        change(&mut case);
        case.check(adapters::first(), Strategy::default()).is_err()
    };
    assert!(!fails(&|_| {}));
    let nudge = |array: &mut ArrayD<f32>| *array.last_mut().unwrap() += 1e-3;
    assert!(fails(&|case| nudge(&mut case.a)));
    assert!(fails(&|case| nudge(&mut case.c)));
    assert!(fails(&|case| nudge(&mut case.scale)));
    assert!(fails(&|case| nudge(&mut case.shift)));
    assert!(fails(&|case| nudge(&mut case.sum)));
    assert!(fails(&|case| case.spec = case.spec.clone().with_activation(Activation::GeluTanh)));
}

/// What does not fit is told.
#[test]
fn refusals() {
    let gpu = adapters::first();
    let tensor = |shape: &[usize], dtype| Tensor::zeros(gpu, shape, dtype).unwrap();
    let norm = GpuNorm::new(gpu, LayerNorm::new(8)).unwrap();
    let x = tensor(&[2, 3, 8], DType::F32);
    let (other, half) = (tensor(&[2, 3, 7], DType::F32), tensor(&[2, 3, 8], DType::F16));
    let is_shape = |result: gpunorm::Result<Tensor>| assert!(matches!(result, Err(Error::Shape { .. })), "{result:?}");
    let is_type =
        |result: gpunorm::Result<Tensor>| assert!(matches!(result, Err(Error::ElementType { .. })), "{result:?}");
    is_shape(norm.call().add_before(&other).forward_tensor(&x));
    is_type(norm.call().add_before(&half).forward_tensor(&x));
    is_shape(norm.call().add_after(&other).forward_tensor(&x));
    is_shape(norm.call().modulate(&other, &other).forward_tensor(&x));
    let (scale, scale_half) = (tensor(&[2, 8], DType::F32), tensor(&[2, 8], DType::F16));
    is_type(norm.call().modulate(&scale_half, &scale_half).forward_tensor(&x));
    is_type(norm.call().modulate(&scale, &scale_half).forward_tensor(&x));
    norm.call().modulate(&scale, &scale).forward_tensor(&x).unwrap();
    let result = norm.call().keep_sum(&x).forward_tensor(&x);
    assert!(matches!(result, Err(Error::Neighbour { .. })), "{result:?}");
    let row = tensor(&[8], DType::F32);
    let result = norm.call().modulate(&row, &row).forward_tensor(&row);
    assert!(matches!(result, Err(Error::Neighbour { .. })), "{result:?}");
    let sum = tensor(&[2, 3, 8], DType::F32);
    for result in [
        norm.call().add_before(&sum).keep_sum(&sum).forward_tensor(&x),
        norm.call().add_before(&x).keep_sum(&x).forward_tensor(&x),
    ] {
        assert!(matches!(result, Err(Error::Aliasing { .. })), "{result:?}");
    }
    // Read twice is read once.
    let doubled = norm.call().add_before(&x).add_after(&x).forward_tensor(&x);
    doubled.unwrap();
}

/// Each neighbour alone fits the buffers that every WebGPU device binds, beside any layer in any mode, backward too.
#[test]
fn webgpu_binds_each_neighbour() {
    let shapes: [&[usize]; 2] = [&[4, 6, 5, 3], &[2, 6, 64, 64]];
    for (spec, shape) in shapes.iter().flat_map(|shape| specs(shape).into_iter().map(move |spec| (spec, *shape))) {
        let spec = spec.with_activation(Activation::Gelu);
        for mode in MODES {
            let Ok(geometry) = Geometry::new(&spec, mode, shape) else { continue };
            let none = Neighbours::NONE;
            let trailing = matches!(spec, NormSpec::Layer(_) | NormSpec::Rms(_));
            let modulation = Modulation { samples: shape[0], from_one: true, dtype: DType::F32 };
            let alone = [
                Neighbours { add_before: true, keeps_sum: true, ..none },
                Neighbours { add_before: true, by_channel: (!trailing).then_some(shape[0]), keeps_sum: true, ..none },
                Neighbours { modulation: Some(modulation), ..none },
                Neighbours { add_after: true, ..none },
            ];
            for neighbours in alone {
                let backward = Pass::Backward {
                    parts: 1,
                    input: Gradient::Replaced,
                    parameters: Gradient::Replaced,
                    modulation: neighbours.modulation.is_some(),
                    addend: neighbours.by_channel.is_some(),
                    neighbours,
                };
                for pass in [Pass::Forward { saves: true, neighbours }, backward] {
                    let plan = Plan::new(&spec, &geometry, DType::F32, &Caps::WEBGPU, Strategy::default(), pass);
                    plan.unwrap_or_else(|error| panic!("{spec:?}, {mode:?}, {shape:?}, {neighbours:?}: {error}"));
                }
            }
        }
    }
}

/// The same pass as the norm alone, where the device binds as much.
#[test]
fn dispatches_stay() {
    let own = adapters::first();
    let hardware = own.with_caps(Caps { software: false, ..*own.caps() });
    let cases: [(NormSpec, &[usize]); 6] = [
        (LayerNorm::new(1024).into(), &[2, 64, 1024]),
        (LayerNorm::new(20_000).into(), &[2, 3, 20_000]),
        (RmsNorm::new(4096).into(), &[1, 8, 4096]),
        (GroupNorm::new(8, 32).into(), &[2, 32, 8, 8]),
        (BatchNorm::new(32).into(), &[2, 32, 64, 64]),
        (BatchNorm::new(32).into(), &[16, 32, 4, 4]),
    ];
    for (spec, shape) in cases {
        for gpu in [own, &hardware] {
            let tensor = |shape: &[usize]| Tensor::zeros(gpu, shape, DType::F32).unwrap();
            let norm = GpuNorm::new(gpu, spec.clone().with_activation(Activation::Silu)).unwrap();
            let alone = GpuNorm::new(gpu, spec.clone()).unwrap().plan(shape, DType::F32).unwrap().dispatches();
            assert_eq!(norm.plan(shape, DType::F32).unwrap().dispatches(), alone, "{spec:?}");
            let (like, of_samples) = (tensor(shape), tensor(&[&shape[..1], &spec.parameter_shape()].concat()));
            let sum = tensor(shape);
            let call = norm.call().add_before(&like).keep_sum(&sum).add_after(&like);
            let plan = call.modulate(&of_samples, &of_samples).plan(shape, DType::F32).unwrap();
            // Running statistics that move take three.
            let alone = if matches!(spec, NormSpec::Batch(_)) { 3 } else { alone };
            assert_eq!(plan.dispatches(), alone, "{spec:?}\n{plan}");
            if !matches!(spec, NormSpec::Layer(_) | NormSpec::Rms(_)) {
                let plan = norm.call().add_before(&of_samples).keep_sum(&sum).plan(shape, DType::F32).unwrap();
                assert_eq!(plan.dispatches(), alone, "{spec:?}\n{plan}");
            }
        }
    }
}
