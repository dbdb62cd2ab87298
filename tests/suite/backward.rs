//! Backwards on every adapter: torch's fixtures, then norm × mode × shape × values × every kernel variant, against the
//! oracle.

use gpunorm::geometry::Geometry;
use gpunorm::plan::{Pass, Plan};
use gpunorm::reference::{self, State};
use gpunorm::{DType, Error, Gpu, GpuNorm, Gradients, Mode, NormSpec, Strategy, Tensor};
use ndarray::ArrayD;

use gpunorm::caps::Caps;
use gpunorm::plan::Route;

use super::compare::{compare, largest, state_dict};
use super::forward::{Failures, MODES, row_len, variants};
use super::{adapters, data, torch};

type Outcome = Result<(), String>;

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// The gradients by what they are of, as the oracle names them.
fn named(gradients: &Gradients) -> [(&'static str, Option<&Tensor>); 5] {
    [
        ("input", Some(&gradients.input)),
        ("weight", gradients.weight.as_ref()),
        ("bias", gradients.bias.as_ref()),
        ("mean_weight", gradients.mean_weight.as_ref()),
        ("var_weight", gradients.var_weight.as_ref()),
    ]
}

/// Fails if a gradient is out of tolerance.
fn check_gradients(
    found: &Gradients,
    expected: &reference::Gradients,
    dtype: DType,
    allowance: impl Fn(&str) -> f64,
) -> Outcome {
    for ((what, found), (_, expected)) in named(found).into_iter().zip(expected.named()) {
        match (found, expected) {
            (Some(found), Some(expected)) => {
                let found = found.to_array().map_err(text)?;
                let dtype = if what == "input" { dtype } else { DType::F32 };
                compare(&found, &expected.value, &(expected.tolerance(dtype) + allowance(what)))
                    .map_err(|worst| format!("{what}, {worst}"))?;
            }
            (None, None) => {}
            (found, _) => return Err(format!("{what} is there: {}", found.is_some())),
        }
    }
    Ok(())
}

struct Layer {
    norm: GpuNorm,
    x: Tensor,
    dy: Tensor,
}

impl Layer {
    fn new(
        gpu: &Gpu,
        spec: &NormSpec,
        mode: Mode,
        state: &State,
        (x, dy): (&ArrayD<f32>, &ArrayD<f32>),
        dtype: DType,
        strategy: Strategy,
    ) -> Result<Layer, String> {
        let mut norm = GpuNorm::new(gpu, spec.clone()).map_err(text)?;
        norm.load_state_dict(&state_dict(state), "").map_err(text)?;
        norm.set_strategy(strategy);
        if mode == Mode::Evaluation {
            norm.eval();
        }
        let tensor = |array| Tensor::from_array_as(gpu, array, dtype).map_err(text);
        Ok(Layer { norm, x: tensor(x)?, dy: tensor(dy)? })
    }

    fn expected(&self, spec: &NormSpec, mode: Mode, state: &State) -> Result<reference::Gradients, String> {
        let stored = |tensor: &Tensor| Ok::<_, String>(tensor.to_array().map_err(text)?.mapv(f64::from));
        reference::backward(spec, mode, state, &stored(&self.x)?, &stored(&self.dy)?).map_err(text)
    }
}

/// Runs `x` and `dy`, rounded to `dtype`, on both; fails if a gradient is out of tolerance.
fn check(
    gpu: &Gpu,
    spec: &NormSpec,
    mode: Mode,
    state: &State,
    inputs: (&ArrayD<f32>, &ArrayD<f32>),
    dtype: DType,
    strategy: Strategy,
) -> Outcome {
    let layer = Layer::new(gpu, spec, mode, state, inputs, dtype, strategy)?;
    let (_, saved) = layer.norm.forward_saved(&layer.x).map_err(text)?;
    let found = layer.norm.backward(&layer.dy, &saved).map_err(text)?;
    let expected = layer.expected(spec, mode, state)?;
    // What the tolerance does not speak of: adapters may flush subnormal numbers to 0, and the oracle itself rounds its
    // means to 53 bits, which x̂ then is off by.
    let wide = |array: &ArrayD<f32>| array.mapv(f64::from);
    let forward = reference::forward(spec, mode, &mut state.clone(), &wide(inputs.0)).map_err(text)?;
    let (r, dy) = (largest(&forward.inverse_std), wide(inputs.1));
    let off = r * (8.0 * 2f64.powi(-53) * largest(&wide(inputs.0)) + f64::from(f32::MIN_POSITIVE));
    let gamma = state.weight.as_ref().map_or(1.0, largest);
    let allowance = |what: &str| match what {
        "input" => off * r * gamma * largest(&dy) + f64::from(f32::MIN_POSITIVE),
        "weight" => off * dy.mapv(f64::abs).sum(),
        _ => f64::from(f32::MIN_POSITIVE),
    };
    check_gradients(&found, &expected, dtype, allowance)
}

#[test]
fn torch_fixtures() {
    let mut failures = Failures::default();
    for (name, gpu) in adapters::all() {
        for case in torch::cases() {
            let (x, dy) = (case.x.mapv(|value| value as f32), case.dy.mapv(|value| value as f32));
            let inputs = (&x, &dy);
            let result = check(gpu, &case.spec, case.mode, &case.before, inputs, DType::F32, Strategy::default());
            failures.check(|| format!("{name}, {}", case.name), result);
        }
    }
    failures.assert_none(200);
}

/// Runs a case, unless the forced strategy or the small bindings rule it out by a typed error.
fn run(gpu: &Gpu, spec: &NormSpec, mode: Mode, x: &ArrayD<f32>, dtype: DType, strategy: Strategy) -> Option<Outcome> {
    let geometry = Geometry::new(spec, mode, x.shape()).ok()?;
    let passes = [Pass::Forward { saves: true }, Pass::Backward { parts: 1, accumulate: false }];
    for pass in passes {
        let plan = Plan::new(spec, &geometry, dtype, gpu.caps(), strategy, pass);
        if let Err(Error::Strategy { .. } | Error::TooLarge { .. }) = plan {
            return None;
        }
    }
    let dy = data::values("normal", x.shape(), 1).mapv(|value| 0.5 - value);
    Some(check(gpu, spec, mode, &data::state(spec), (x, &dy), dtype, strategy))
}

fn every_variant(shapes: &[&[usize]], specs: impl Fn(&[usize]) -> Vec<NormSpec>, least: usize) {
    let mut failures = Failures::default();
    for (name, gpu) in adapters::all() {
        for (variant, gpu, strategy) in variants(gpu) {
            for &shape in shapes {
                for (index, spec) in specs(shape).iter().enumerate() {
                    for mode in MODES {
                        // Element types and values take turns: every pair meets some variant of every kernel.
                        let dtype = [DType::F32, DType::F16, DType::BF16, DType::F32][(index + shape.len()) % 4];
                        let values = ["normal", "mean 1e4", "first outlier"][index % 3];
                        let values = if dtype == DType::F32 { values } else { "normal" };
                        let x = data::values(values, shape, row_len(spec, mode, shape));
                        if let Some(result) = run(&gpu, spec, mode, &x, dtype, strategy) {
                            let what =
                                || format!("{name}, {variant}, {spec:?}, {mode:?}, {shape:?}, {dtype}, {values}");
                            failures.check(what, result);
                        }
                    }
                }
            }
        }
    }
    failures.assert_none(least);
}

#[test]
fn channel_norms_in_every_variant() {
    let shapes: [&[usize]; 7] =
        [&[3, 6], &[5, 4, 1], &[1, 6, 5], &[2, 6, 16], &[3, 4, 7, 7], &[2, 6, 3, 4, 5], &[1, 2, 257, 9]];
    every_variant(&shapes, |shape| data::channel_specs(shape[1]), 1300);
}

#[test]
fn trailing_norms_in_every_variant() {
    let shapes: [&[usize]; 7] = [&[7], &[3, 1], &[70, 64], &[2, 3, 33], &[4, 1031], &[5, 2, 512], &[3, 4096]];
    every_variant(&shapes, |shape| data::trailing_specs(shape, shape.len() - 1), 500);
}

#[test]
fn every_value_set() {
    let mut failures = Failures::default();
    for (name, gpu) in adapters::all() {
        let hardware = gpu.with_caps(Caps { software: false, ..*gpu.caps() });
        for values in data::VALUES {
            for (route, gpu) in [(None, gpu), (Some(Route::Split), gpu), (None, &hardware)] {
                let strategy = Strategy { route, team: None, lanes: None };
                let shape = [3, 6, 11, 12];
                let mut specs = data::channel_specs(6);
                specs.extend(data::trailing_specs(&shape, 2));
                for spec in specs {
                    // Squares of 3e38 are beyond f32, as they are for torch; so is a plain share of such a mean.
                    let plain = format!("{spec:?}").contains("Plain");
                    if values == "constant 3e38" && (plain || matches!(spec, NormSpec::Rms(_))) {
                        continue;
                    }
                    let x = data::values(values, &shape, row_len(&spec, Mode::Training, &shape));
                    if let Some(result) = run(gpu, &spec, Mode::Training, &x, DType::F32, strategy) {
                        let what =
                            || format!("{name}, {spec:?}, {values}, {route:?}, software {}", gpu.caps().software);
                        failures.check(what, result);
                    }
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
    for (name, gpu) in adapters::all() {
        for (variant, gpu, strategy) in variants(gpu) {
            for &shape in &shapes {
                for values in ["normal", "mean 1e6", "first outlier"] {
                    let spec: NormSpec = match shape.len() {
                        2 => gpunorm::LayerNorm::new(&shape[1..]).into(),
                        _ => gpunorm::BatchNorm::new(shape[1]).into(),
                    };
                    let x = data::values(values, shape, row_len(&spec, Mode::Training, shape));
                    if let Some(result) = run(&gpu, &spec, Mode::Training, &x, DType::F32, strategy) {
                        failures.check(|| format!("{name}, {variant}, {spec:?}, {shape:?}, {values}"), result);
                    }
                }
            }
        }
    }
    failures.assert_none(80);
}

/// The whole check tells a wrong gradient from a right one, not only `compare`.
#[test]
fn the_check_can_fail() {
    let gpu = adapters::first();
    let spec: NormSpec = gpunorm::GroupNorm::new(2, 4).into();
    let x = data::values("normal", &[3, 4, 6], 1);
    let dy = x.mapv(|value| 0.25 + value * value);
    let state = data::state(&spec);
    let layer = Layer::new(gpu, &spec, Mode::Training, &state, (&x, &dy), DType::F32, Strategy::default()).unwrap();
    let (_, saved) = layer.norm.forward_saved(&layer.x).unwrap();
    let found = layer.norm.backward(&layer.dy, &saved).unwrap();
    let right = layer.expected(&spec, Mode::Training, &state).unwrap();
    check_gradients(&found, &right, DType::F32, |_| 0.0).unwrap();
    for what in 0..4 {
        let mut wrong = right.clone();
        match what {
            0 => wrong.input.value[[1, 2, 3]] += 1e-4,
            1 => wrong.weight.as_mut().unwrap().value[[3]] += 1e-3,
            2 => wrong.bias.as_mut().unwrap().value[[0]] += 1e-3,
            _ => wrong.bias = None,
        }
        assert!(check_gradients(&found, &wrong, DType::F32, |_| 0.0).is_err(), "{what}");
    }
}
