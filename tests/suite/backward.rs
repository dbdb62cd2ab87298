//! Backwards on every adapter: torch's fixtures, then norm × mode × shape × values × every kernel variant, against the
//! oracle.

use gpunorm::geometry::Geometry;
use gpunorm::plan::{Pass, Plan};
use gpunorm::reference::{self, Gradient, State};
use gpunorm::{DType, Error, Gpu, GpuNorm, Gradients, Mode, NormSpec, Strategy, Tensor};
use ndarray::ArrayD;

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
fn check_gradients(found: &Gradients, expected: &reference::Gradients, dtype: DType, allowance: f64) -> Outcome {
    for ((what, found), (_, expected)) in named(found).into_iter().zip(expected.named()) {
        match (found, expected) {
            (Some(found), Some(expected)) => {
                let found = found.to_array().map_err(text)?;
                let dtype = if what == "input" { dtype } else { DType::F32 };
                compare(&found, &expected.value, &tolerance(expected, dtype, allowance))
                    .map_err(|worst| format!("{what}, {worst}"))?;
            }
            (None, None) => {}
            (found, _) => return Err(format!("{what} is there: {}", found.is_some())),
        }
    }
    Ok(())
}

/// What the tolerance does not speak of: adapters may flush subnormal numbers to 0.
fn tolerance(gradient: &Gradient, dtype: DType, allowance: f64) -> ArrayD<f64> {
    gradient.tolerance(dtype) + allowance
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
    let allowance = f64::from(f32::MIN_POSITIVE) * largest(&inputs.1.mapv(f64::from)).max(1.0) * 1e3;
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
