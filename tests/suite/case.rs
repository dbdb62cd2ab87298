//! Layers on the GPU and in the oracle: a case is both, run without waiting, so that browsers run it too.

use gpunorm::reference::{self, Forward, State};
use gpunorm::unstable::Strategy;
use gpunorm::{DType, Gpu, GpuNorm, Gradients, Mode, NormSpec, Tensor};
use ndarray::ArrayD;

use super::compare::{allowance, check_statistics, compare, largest, state_dict};
use super::data::rounded;

pub type Outcome = Result<(), String>;

pub fn text(error: impl ToString) -> String {
    error.to_string()
}

/// A layer on the GPU, in this state.
fn layer(gpu: &Gpu, strategy: Strategy, spec: &NormSpec, mode: Mode, state: &State) -> Result<GpuNorm, String> {
    let mut norm = GpuNorm::new(gpu, spec.clone()).map_err(text)?;
    norm.load_state_dict(&state_dict(state), "").map_err(text)?;
    norm.set_strategy(strategy);
    norm.set_mode(mode);
    Ok(norm)
}

/// A forward, and what the oracle says of it, once for all adapters and variants.
pub struct Output {
    pub spec: NormSpec,
    pub mode: Mode,
    before: State,
    after: State,
    pub dtype: DType,
    /// Rounded to `dtype`.
    pub x: ArrayD<f32>,
    wide: ArrayD<f64>,
    expected: Forward,
    tolerance: ArrayD<f64>,
}

impl Output {
    /// `x` is rounded to `dtype` first.
    pub fn new(spec: &NormSpec, mode: Mode, before: State, x: &ArrayD<f32>, dtype: DType) -> Output {
        let x = rounded(x, dtype);
        let (wide, mut after) = (x.mapv(f64::from), before.clone());
        let expected = reference::forward(spec, mode, &mut after, &wide).unwrap();
        let tolerance = expected.tolerance(dtype) + allowance(&before, &wide, &expected);
        Output { spec: spec.clone(), mode, before, after, dtype, x, wide, expected, tolerance }
    }

    /// Fails if the output or a running statistic is out of tolerance.
    pub async fn run(&self, gpu: &Gpu, strategy: Strategy) -> Outcome {
        let norm = layer(gpu, strategy, &self.spec, self.mode, &self.before)?;
        let tensor = Tensor::from_array_as(gpu, &self.x, self.dtype).map_err(text)?;
        let y = norm.forward_tensor(&tensor).map_err(text)?.read().await.map_err(text)?;
        compare(&y, &self.expected.output, &self.tolerance).map_err(|worst| format!("output, {worst}"))?;
        let found = norm.read_state_dict("").await.map_err(text)?;
        check_statistics(&found, &self.before, &self.after, &self.wide, &self.expected)
    }
}

pub const GRADIENTS: [&str; 5] = ["input", "weight", "bias", "mean_weight", "var_weight"];

/// What the tolerance does not speak of: adapters may flush subnormal numbers to 0, and the oracle itself rounds its means to 53
/// bits, which x̂ then is off by; and the most that it is multiplied with.
pub fn off(forward: &Forward, x: &ArrayD<f64>) -> (f64, f64) {
    let r = largest(&forward.inverse_std);
    (r * (8.0 * 2f64.powi(-53) * largest(x) + f64::from(f32::MIN_POSITIVE)), r)
}

/// What gradients are off by, if x̂ is.
pub fn gradient_allowance(off: f64, r: f64, state: &State, dy: &ArrayD<f64>) -> impl Fn(&str) -> f64 + use<> {
    let gamma = state.weight.as_ref().map_or(1.0, largest);
    let (most, sum) = (largest(dy), dy.mapv(f64::abs).sum());
    move |what| match what {
        "input" => off * r * gamma * most + f64::from(f32::MIN_POSITIVE),
        "weight" => off * sum,
        // Through differences of statistics, which times r or r² and a share are around 1.
        "mean_weight" | "var_weight" => off * gamma * sum,
        _ => f64::from(f32::MIN_POSITIVE),
    }
}

/// Fails if a gradient is out of tolerance, or one is there that is not wanted.
pub async fn check_gradients(
    found: &Gradients,
    expected: &reference::Gradients,
    wanted: &[&str],
    dtype: DType,
    allowance: impl Fn(&str) -> f64,
) -> Outcome {
    for ((what, found), (_, expected)) in found.named().into_iter().zip(expected.named()) {
        match (found, expected.filter(|_| wanted.contains(&what))) {
            (Some(found), Some(expected)) => {
                let found = found.read().await.map_err(text)?;
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

/// A backward, likewise.
pub struct Backward {
    pub spec: NormSpec,
    pub mode: Mode,
    state: State,
    pub x: ArrayD<f32>,
    dy: ArrayD<f32>,
    pub dtype: DType,
    pub expected: reference::Gradients,
    /// How far x̂ may be off besides.
    off: f64,
    /// The most that it is multiplied with.
    r: f64,
}

impl Backward {
    /// `x` and `dy` are rounded to `dtype` first.
    pub fn new(spec: &NormSpec, mode: Mode, state: State, x: &ArrayD<f32>, dy: &ArrayD<f32>, dtype: DType) -> Backward {
        let (x, dy) = (rounded(x, dtype), rounded(dy, dtype));
        let wide = x.mapv(f64::from);
        let expected = reference::backward(spec, mode, &state, &wide, &dy.mapv(f64::from)).unwrap();
        let forward = reference::forward(spec, mode, &mut state.clone(), &wide).unwrap();
        let (off, r) = off(&forward, &wide);
        Backward { spec: spec.clone(), mode, state, x, dy, dtype, expected, off, r }
    }

    /// Those that are `wanted`, by their names.
    pub fn gradients(&self, gpu: &Gpu, strategy: Strategy, wanted: &[&str]) -> Result<Gradients, String> {
        let norm = layer(gpu, strategy, &self.spec, self.mode, &self.state)?;
        let tensor = |array| Tensor::from_array_as(gpu, array, self.dtype).map_err(text);
        let (_, saved) = norm.forward_saved(&tensor(&self.x)?).map_err(text)?;
        let mut gradients = norm.zero_gradients(&saved).map_err(text)?;
        let unwanted = |name| !wanted.contains(&name);
        gradients.input.take_if(|_| unwanted("input"));
        gradients.weight.take_if(|_| unwanted("weight"));
        gradients.bias.take_if(|_| unwanted("bias"));
        gradients.mean_weight.take_if(|_| unwanted("mean_weight"));
        gradients.var_weight.take_if(|_| unwanted("var_weight"));
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        norm.encode_backward(&mut encoder, &tensor(&self.dy)?, &saved, &gradients).map_err(text)?;
        gpu.queue().submit([encoder.finish()]);
        Ok(gradients)
    }

    /// Fails if one of these is out of tolerance, or another is there.
    pub async fn run(&self, gpu: &Gpu, strategy: Strategy, wanted: &[&str]) -> Outcome {
        let allowance = gradient_allowance(self.off, self.r, &self.state, &self.dy.mapv(f64::from));
        let gradients = self.gradients(gpu, strategy, wanted)?;
        check_gradients(&gradients, &self.expected, wanted, self.dtype, allowance).await
    }
}
