//! Backwards on every adapter: torch's fixtures, then norm × mode × shape × values × every kernel variant, against the
//! oracle.

use gpunorm::reference::State;
use gpunorm::unstable::{Caps, Geometry, Route, Strategy};
use gpunorm::{BatchNorm, DType, GroupNorm, LayerNorm, Mode, NormSpec, SwitchableNorm};
use ndarray::{ArrayD, Axis};
use pollster::block_on;

use super::case::{Backward, GRADIENTS, check_gradients};
use super::data::{CHANNEL_SHAPES, LAYOUT_SHAPES, MODES, TRAILING_SHAPES, modes, turn};
use super::failures::Failures;
use super::variants::{everywhere, everywhere_in_turn};
use super::{adapters, data, torch};

/// A case of random parameters and dy, if the layer takes the shape.
pub fn case(spec: &NormSpec, mode: Mode, shape: &[usize], values: &str, dtype: DType) -> Option<Backward> {
    let geometry = Geometry::new(spec, mode, shape).ok()?;
    let x = data::values(values, shape, geometry.row_len);
    let dy = data::values("normal", shape, 1).mapv(|value| 0.5 - value);
    Some(Backward::new(spec, mode, data::state(spec), &x, &dy, dtype))
}

#[test]
fn torch_fixtures() {
    let mut failures = Failures::default();
    for fixture in torch::cases() {
        let (x, dy) = (fixture.x.mapv(|value| value as f32), fixture.dy.mapv(|value| value as f32));
        let case = Backward::new(&fixture.spec, fixture.mode, fixture.before, &x, &dy, DType::F32);
        for (name, gpu) in adapters::all() {
            failures.check(|| format!("{name}, {}", fixture.name), case.check(gpu, Strategy::default()));
        }
    }
    failures.assert_none(200);
}

fn every_variant(shapes: &[&[usize]], specs: impl Fn(&[usize]) -> Vec<NormSpec>, least: usize) {
    let mut failures = Failures::default();
    for (number, &shape) in shapes.iter().enumerate() {
        for (index, spec) in specs(shape).iter().enumerate() {
            for (mode, turns) in modes(spec, shape).zip(index + number..) {
                let (dtype, values) = turn(index, shape);
                let Some(case) = case(spec, mode, shape, values, dtype) else { continue };
                for (place, gpu, strategy) in everywhere_in_turn(turns) {
                    if let Some(result) = case.check_if_planned(&gpu, strategy) {
                        failures.check(|| format!("{place}, {spec:?}, {mode:?}, {shape:?}, {dtype}, {values}"), result);
                    }
                }
            }
        }
    }
    failures.assert_none(least);
}

#[test]
fn channel_norms_of_few_positions_in_every_variant() {
    every_variant(&CHANNEL_SHAPES[..4], |shape| data::channel_specs(shape[1]), 300);
}

#[test]
fn channel_norms_of_planes_in_every_variant() {
    every_variant(&CHANNEL_SHAPES[4..], |shape| data::channel_specs(shape[1]), 320);
}

#[test]
fn trailing_norms_in_every_variant() {
    every_variant(&TRAILING_SHAPES, |shape| data::trailing_specs(shape, shape.len() - 1), 130);
}

#[test]
fn other_layouts_in_every_variant() {
    every_variant(&LAYOUT_SHAPES, data::layout_specs, 250);
}

/// Channels that lanes hold side by side: few and long, many and short, of odd lengths.
#[test]
fn groups_of_channels_in_every_variant() {
    let shapes: [&[usize]; 5] = [&[2, 40, 8, 8], &[3, 20, 7, 7], &[2, 6, 40, 44], &[1, 70, 31], &[2, 96, 1]];
    let specs =
        |shape: &[usize]| vec![GroupNorm::new(2, shape[1]).into(), GroupNorm::new(1, shape[1]).bias(false).into()];
    every_variant(&shapes, specs, 40);
}

/// Any of the gradients alone, the parameters' without the input's: in every variant, and from plans that have no step for
/// the others.
#[test]
fn only_what_is_wanted() {
    let wanted: [&[&str]; 7] =
        [&GRADIENTS[..1], &GRADIENTS[1..], &GRADIENTS[1..2], &GRADIENTS[2..3], &GRADIENTS[3..4], &GRADIENTS[..2], &[]];
    let mut failures = Failures::default();
    for (index, shape) in [&[3, 6, 11][..], &[9, 6, 2, 2], &[2, 6, 70], &[70, 6]].into_iter().enumerate() {
        let specs = data::channel_specs(6).into_iter().chain(data::trailing_specs(shape, shape.len() - 1));
        for (number, spec) in specs.enumerate() {
            for mode in MODES {
                let dtype = [DType::F32, DType::F16, DType::F32][(index + number) % 3];
                let Some(case) = case(&spec, mode, shape, "normal", dtype) else { continue };
                for (turn, (place, gpu, strategy)) in everywhere().enumerate() {
                    let wanted = wanted[(turn + number) % wanted.len()];
                    if case.plans(&gpu, strategy, wanted).is_some() {
                        let place = || format!("{place}, {spec:?}, {mode:?}, {shape:?}, {dtype}, {wanted:?}");
                        failures.check(place, case.check_wanted(&gpu, strategy, wanted));
                    }
                }
            }
        }
    }
    failures.assert_none(200);
}

#[test]
fn every_value_set() {
    let mut failures = Failures::default();
    let shape = [3, 6, 11, 12];
    for (values, spec) in data::value_cases(&shape) {
        let case = case(&spec, Mode::Training, &shape, values, DType::F32).unwrap();
        for (name, gpu) in adapters::all() {
            let hardware = gpu.with_caps(Caps { software: false, ..*gpu.caps() });
            for (route, gpu) in [(None, gpu), (Some(Route::Split), gpu), (None, &hardware)] {
                let strategy = Strategy { route, team: None, lanes: None };
                if let Some(result) = case.check_if_planned(gpu, strategy) {
                    let software = gpu.caps().software;
                    failures.check(|| format!("{name}, {spec:?}, {values}, {route:?}, software {software}"), result);
                }
            }
        }
    }
    failures.assert_none(1100);
}

#[test]
fn long_rows_keep_their_digits() {
    let mut failures = Failures::default();
    let shapes: [&[usize]; 4] = [&[1, 1 << 20], &[2, 70_001], &[300, 1031], &[1, 3, 300, 301]];
    for shape in shapes {
        for values in ["normal", "mean 1e6", "first outlier"] {
            let spec: NormSpec = match shape.len() {
                2 => LayerNorm::new(&shape[1..]).into(),
                _ => BatchNorm::new(shape[1]).into(),
            };
            let case = case(&spec, Mode::Training, shape, values, DType::F32).unwrap();
            for (place, gpu, strategy) in everywhere() {
                if let Some(result) = case.check_if_planned(&gpu, strategy) {
                    failures.check(|| format!("{place}, {spec:?}, {shape:?}, {values}"), result);
                }
            }
        }
    }
    failures.assert_none(80);
}

/// Logits so far apart that one statistic has nearly all, of instances far apart.
#[test]
fn shares_close_to_one() {
    let mut failures = Failures::default();
    for shape in [[4, 5, 14], [1, 8, 29], [5, 2, 746]] {
        let spec: NormSpec = SwitchableNorm::new(shape[1]).into();
        let mut x = data::values("normal", &shape, 1);
        for (i, mut instance) in x.lanes_mut(Axis(2)).into_iter().enumerate() {
            instance.mapv_inplace(|value| value + 100.0 * (i % 7) as f32);
        }
        let mut dy = x.mapv(f32::sin);
        dy.invert_axis(Axis(2));
        for order in [[4.0, 0.0, 12.0], [0.0, 12.0, -1.0], [-8.0, 3.0, 11.0]] {
            let mut state = data::state(&spec);
            state.mean_weight = Some(ArrayD::from_shape_fn(vec![3], |k| order[k[0]]));
            state.var_weight = Some(ArrayD::from_shape_fn(vec![3], |k| order[2 - k[0]]));
            let case = Backward::new(&spec, Mode::Training, state, &x, &dy, DType::F32);
            for (name, gpu) in adapters::all() {
                failures.check(|| format!("{name}, {shape:?}, {order:?}"), case.check(gpu, Strategy::default()));
            }
        }
    }
    failures.assert_none(9);
}

/// The whole check tells a wrong gradient from a right one, not only `compare`.
#[test]
fn the_check_can_fail() {
    let spec: NormSpec = GroupNorm::new(2, 4).into();
    let case = case(&spec, Mode::Training, &[3, 4, 6], "normal", DType::F32).unwrap();
    let found = case.gradients(adapters::first(), Strategy::default(), &GRADIENTS).unwrap();
    block_on(check_gradients(&found, &case.expected, &GRADIENTS, DType::F32, |_| 0.0)).unwrap();
    for what in 0..4 {
        let mut wrong = case.expected.clone();
        match what {
            0 => wrong.input.value[[1, 2, 3]] += 1e-4,
            1 => wrong.weight.as_mut().unwrap().value[[3]] += 1e-3,
            2 => wrong.bias.as_mut().unwrap().value[[0]] += 1e-3,
            _ => wrong.bias = None,
        }
        assert!(block_on(check_gradients(&found, &wrong, &GRADIENTS, DType::F32, |_| 0.0)).is_err(), "{what}");
    }
}

/// However long the rows: of mixing weights' gradients too, which nearly cancel.
#[test]
fn the_check_can_fail_on_long_rows() {
    let spec: NormSpec = SwitchableNorm::new(6).into();
    let x = data::values("normal", &[2, 6, 70_000], 1);
    let mut dy = x.clone();
    dy.invert_axis(Axis(2));
    let case = Backward::new(&spec, Mode::Training, State::new(&spec).unwrap(), &x, &dy, DType::F32);
    let found = case.gradients(adapters::first(), Strategy::default(), &GRADIENTS).unwrap();
    block_on(check_gradients(&found, &case.expected, &GRADIENTS, DType::F32, |_| 0.0)).unwrap();
    for what in 0..2 {
        let mut wrong = case.expected.clone();
        let gradient = if what == 0 { &mut wrong.mean_weight } else { &mut wrong.var_weight };
        gradient.as_mut().unwrap().value.fill(0.0);
        assert!(block_on(check_gradients(&found, &wrong, &GRADIENTS, DType::F32, |_| 0.0)).is_err(), "{what}");
    }
}
