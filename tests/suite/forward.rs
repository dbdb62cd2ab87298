//! Forwards on every adapter: torch's fixtures, then norm × mode × shape × values × every kernel variant, against the
//! oracle.

use gpunorm::reference::{self, State};
use gpunorm::unstable::{Caps, Geometry, Route, Strategy, Team};
use gpunorm::{BatchNorm, DType, Error, GpuNorm, LayerNorm, Mode, NormSpec, RmsNorm};
use ndarray::{ArrayD, IxDyn};

use super::case::Output;
use super::compare;
use super::data::{CHANNEL_SHAPES, LAYOUT_SHAPES, TRAILING_SHAPES, modes, turn};
use super::failures::Failures;
use super::variants::{everywhere, everywhere_in_turn, variants};
use super::{adapters, data, torch};

#[test]
fn torch_fixtures() {
    let mut failures = Failures::default();
    for fixture in torch::cases() {
        let x = fixture.x.mapv(|value| value as f32);
        let case = Output::new(&fixture.spec, fixture.mode, fixture.before, &x, DType::F32);
        for (name, gpu) in adapters::all() {
            failures.check(|| format!("{name}, {}", fixture.name), case.check(gpu, Strategy::default()));
        }
    }
    failures.assert_none(200);
}

/// A case of random parameters.
fn case(spec: &NormSpec, mode: Mode, shape: &[usize], values: &str, dtype: DType) -> Option<Output> {
    let geometry = Geometry::new(spec, mode, shape).ok()?;
    Some(Output::new(spec, mode, data::state(spec), &data::values(values, shape, geometry.row_len), dtype))
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
fn channel_norms_in_every_variant() {
    every_variant(&CHANNEL_SHAPES, |shape| data::channel_specs(shape[1]), 600);
}

#[test]
fn trailing_norms_in_every_variant() {
    every_variant(&TRAILING_SHAPES, |shape| data::trailing_specs(shape, shape.len() - 1), 130);
}

#[test]
fn other_layouts_in_every_variant() {
    every_variant(&LAYOUT_SHAPES, data::layout_specs, 240);
}

#[test]
fn every_value_set() {
    let mut failures = Failures::default();
    let shape = [3, 6, 11, 12];
    for (values, spec) in data::value_cases(&shape) {
        let case = case(&spec, Mode::Training, &shape, values, DType::F32).expect("a geometry");
        for (name, gpu) in adapters::all() {
            let hardware = gpu.with_caps(Caps { software: false, ..*gpu.caps() });
            for (gpu, route) in [gpu, &hardware].into_iter().flat_map(|gpu| [(gpu, None), (gpu, Some(Route::Split))]) {
                let strategy = Strategy { route, team: None, lanes: None };
                if let Some(result) = case.check_if_planned(gpu, strategy) {
                    let software = gpu.caps().software;
                    failures.check(|| format!("{name}, {spec:?}, {values}, {route:?}, software {software}"), result);
                }
            }
        }
    }
    failures.assert_none(1500);
}

#[test]
fn long_rows_keep_their_digits() {
    let mut failures = Failures::default();
    let shapes: [&[usize]; 4] = [&[1, 1 << 20], &[2, 70_001], &[3, 65_536], &[1, 3, 300, 301]];
    for shape in shapes {
        for values in ["normal", "mean 1e6", "first outlier", "constant 100.1"] {
            let spec: NormSpec = match shape.len() {
                2 => LayerNorm::new(&shape[1..]).into(),
                _ => BatchNorm::new(shape[1]).into(),
            };
            let case = case(&spec, Mode::Training, shape, values, DType::F32).expect("a geometry");
            for (place, gpu, strategy) in everywhere() {
                if let Some(result) = case.check_if_planned(&gpu, strategy) {
                    failures.check(|| format!("{place}, {spec:?}, {shape:?}, {values}"), result);
                }
            }
        }
    }
    failures.assert_none(100);
}

/// More rows than a dimension of a dispatch has workgroups.
#[test]
fn many_rows() {
    let mut failures = Failures::default();
    let spec: NormSpec = LayerNorm::new([3]).into();
    for rows in [65_535, 65_536, 65_537] {
        let case = case(&spec, Mode::Training, &[rows, 3], "normal", DType::F32).expect("a geometry");
        for (name, gpu) in adapters::all() {
            for team in [Team::Workgroup, Team::Invocation] {
                let strategy = Strategy { route: Some(Route::Fused), team: Some(team), lanes: None };
                if let Some(result) = case.check_if_planned(gpu, strategy) {
                    failures.check(|| format!("{name}, {rows} rows, {team:?}"), result);
                }
            }
        }
    }
    let spec: NormSpec = BatchNorm::new(1).into();
    let case = case(&spec, Mode::Training, &[880_801, 1, 1, 1], "normal", DType::F32).expect("a geometry");
    for (name, gpu) in adapters::all() {
        failures.check(|| format!("{name}, 880801 samples"), case.check(gpu, Strategy::default()));
    }
    failures.assert_none(7);
}

/// A constant row is its bias to the bit, whatever the constant, the route and the team.
#[test]
fn constant_rows_are_their_bias() {
    for (name, gpu) in adapters::all() {
        for (variant, gpu, strategy) in variants(gpu) {
            for constant in ["constant 0.1", "constant 3333333.25", "constant 3e38"] {
                let shape = [3, 4, 35];
                let specs = data::channel_specs(4).into_iter().chain(data::trailing_specs(&shape, 2));
                for spec in specs.chain(data::layout_specs(&shape).into_iter().step_by(3)) {
                    if matches!(spec, NormSpec::Switchable(_) | NormSpec::Rms(_)) {
                        continue; // plain shares need not sum to 1, and RMS norm keeps the mean
                    }
                    let state = data::state(&spec);
                    let mut norm = GpuNorm::new(&gpu, spec.clone()).unwrap();
                    norm.load_state_dict(&compare::state_dict(&state), "").unwrap();
                    norm.set_strategy(strategy);
                    let x = data::values(constant, &shape, 1);
                    let y = match norm.forward(&x) {
                        Err(Error::Strategy { .. } | Error::TooLarge { .. }) => continue,
                        y => y.unwrap(),
                    };
                    let zero = ArrayD::zeros(vec![1]);
                    let bias = state.bias.as_ref().unwrap_or(&zero).mapv(|bias| bias as f32);
                    for (place, &value) in y.indexed_iter() {
                        let channel = place[data::parameter_axis(&spec, 3)];
                        let expected = bias[[channel % bias.len()]];
                        assert_eq!(value, expected, "{name}, {variant}, {spec:?}, {constant}");
                    }
                }
            }
        }
    }
}

/// What torch does where f32 ends (semantics 1.8), as far as WGSL lets adapters agree: rows with a NaN or an infinity
/// are NaN, RMS norm's finite elements become 0 beside an infinity, variances that overflow give the bias.
#[test]
fn not_a_number() {
    for (name, gpu) in adapters::all() {
        for (variant, gpu, strategy) in variants(gpu) {
            let layer = |spec: NormSpec, x: &ArrayD<f32>| {
                let mut norm = GpuNorm::new(&gpu, spec).unwrap();
                norm.set_strategy(strategy);
                match norm.forward(x) {
                    Err(Error::Strategy { .. } | Error::TooLarge { .. }) => None,
                    y => Some(y.unwrap()),
                }
            };
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for place in [0, 36] {
                    let mut x = data::values("normal", &[3, 37], 37);
                    x[[1, place]] = bad;
                    let Some(y) = layer(LayerNorm::new([37]).into(), &x) else { continue };
                    for (index, value) in y.indexed_iter() {
                        assert_eq!(
                            value.is_nan(),
                            index[0] == 1,
                            "{name}, {variant}, {bad} at {place}: {value} at {index:?}"
                        );
                    }
                    if bad.is_infinite() {
                        let y = layer(RmsNorm::new([37]).into(), &x).unwrap();
                        for (index, &value) in y.indexed_iter() {
                            let expected =
                                index[0] != 1 || if index[1] == place { value.is_nan() } else { value == 0.0 };
                            assert!(expected, "{name}, {variant}, rms, {bad} at {place}: {value} at {index:?}");
                        }
                    }
                }
            }
            let x = ArrayD::from_shape_fn(IxDyn(&[2, 64]), |index| if index[1] % 2 == 0 { 1e20 } else { -1e20 });
            let Some(y) = layer(LayerNorm::new([64]).into(), &x) else { continue };
            assert!(y.iter().all(|&value| value == 0.0), "{name}, {variant}, 1e20");
            let x = data::values("mean 1e4", &[2, 16], 16);
            let y = layer(LayerNorm::new([16]).eps(-0.5).into(), &(x * 1e-5)).unwrap();
            assert!(y.iter().all(|value| value.is_nan()), "{name}, {variant}, a negative radicand");
        }
    }
}

/// A wrong layer must be told from a right one by the whole check, not only by `compare`.
#[test]
fn the_check_can_fail() {
    let gpu = adapters::first();
    let x = ArrayD::from_shape_fn(IxDyn(&[4, 3, 5]), |i| ((i[0] * 7 + i[1] * 3 + i[2] * i[2]) % 11) as f32);
    let spec: NormSpec = BatchNorm::new(3).momentum(1.0).into();
    let state = State::new(&spec).unwrap();
    let mut norm = GpuNorm::new(gpu, BatchNorm::new(3).momentum(0.999)).unwrap();
    norm.train();
    let y = norm.forward(&x).unwrap();
    let mut after = state.clone();
    let stored = x.mapv(f64::from);
    let expected = reference::forward(&spec, Mode::Training, &mut after, &stored).unwrap();
    compare::compare(&y, &expected.output, &expected.tolerance(DType::F32)).unwrap();
    let found = norm.state_dict("").unwrap();
    assert!(
        compare::check_statistics(&found, &state, &after, &stored, &expected).is_err(),
        "a running variance that is off"
    );
}
