//! GPU against oracle: a case is a layer on both, of which outputs and running statistics are compared.

use gpunorm::reference::{self, Forward, State};
use gpunorm::unstable::{Geometry, Pass, Strategy};
use gpunorm::{DType, Gpu, GpuNorm, Mode, NormSpec, Plan, StateDict, Tensor};
use ndarray::{ArrayD, IxDyn, Zip};

use super::variants::planned;
use super::{adapters, checks};

/// Whether every element is within its tolerance; NaN and infinity must be met exactly. The error names the worst.
pub fn compare(found: &ArrayD<f32>, expected: &ArrayD<f64>, tolerance: &ArrayD<f64>) -> Result<(), String> {
    if found.shape() != expected.shape() {
        return Err(format!("shape {:?}, expected {:?}", found.shape(), expected.shape()));
    }
    let mut worst = (1.0, String::new());
    let mut index = 0;
    Zip::from(found).and(expected).and(tolerance).for_each(|&found, &expected, &tolerance| {
        let found = f64::from(found);
        let same = found == expected || found.is_nan() && expected.is_nan();
        let ratio = if same { 0.0 } else { (found - expected).abs() / tolerance };
        // A NaN ratio is a miss too.
        if ratio > worst.0 || ratio.is_nan() {
            worst = (
                ratio,
                format!("element {index}: {found} for {expected}, {ratio:.2} times the tolerance {tolerance:e}"),
            );
        }
        index += 1;
    });
    if worst.1.is_empty() { Ok(()) } else { Err(worst.1) }
}

/// The oracle's state as the GPU layer takes it.
pub fn state_dict(state: &State) -> StateDict {
    let mut dict = StateDict::new();
    let arrays = [
        ("weight", &state.weight),
        ("bias", &state.bias),
        ("mean_weight", &state.mean_weight),
        ("var_weight", &state.var_weight),
        ("running_mean", &state.running_mean),
        ("running_var", &state.running_var),
    ];
    for (name, array) in arrays {
        if let Some(array) = array {
            dict.insert(name, array.mapv(|value| value as f32));
        }
    }
    if let Some(batches) = state.num_batches_tracked {
        dict.insert("num_batches_tracked", ArrayD::from_elem(IxDyn(&[]), batches as f32));
    }
    dict
}

/// A case and what the oracle says of it, once for all adapters and variants.
pub struct Case {
    spec: NormSpec,
    mode: Mode,
    before: State,
    after: State,
    dtype: DType,
    /// Rounded to `dtype`.
    x: ArrayD<f32>,
    wide: ArrayD<f64>,
    expected: Forward,
    tolerance: ArrayD<f64>,
}

impl Case {
    /// `x` is rounded to `dtype` first.
    pub fn new(spec: &NormSpec, mode: Mode, before: State, x: &ArrayD<f32>, dtype: DType) -> Case {
        let x = Tensor::from_array_as(adapters::first(), x, dtype).unwrap().to_array().unwrap();
        let (wide, mut after) = (x.mapv(f64::from), before.clone());
        let expected = reference::forward(spec, mode, &mut after, &wide).unwrap();
        let tolerance = expected.tolerance(dtype) + allowance(&before, &wide, &expected);
        Case { spec: spec.clone(), mode, before, after, dtype, x, wide, expected, tolerance }
    }

    /// What runs, unless the forced strategy or small bindings rule it out by a typed error.
    fn plan(&self, gpu: &Gpu, strategy: Strategy) -> Option<Plan> {
        let geometry = Geometry::new(&self.spec, self.mode, self.x.shape()).unwrap();
        planned(gpu, &geometry, &self.spec, self.dtype, strategy, Pass::forward(false))
    }

    /// The check of this case, where it can run.
    pub fn check_if_planned(&self, gpu: &Gpu, strategy: Strategy) -> Option<Result<(), String>> {
        self.plan(gpu, strategy).map(|_| self.check(gpu, strategy))
    }

    /// Fails if the output or a running statistic is out of tolerance, with shader checks too where a kernel is new.
    pub fn check(&self, gpu: &Gpu, strategy: Strategy) -> Result<(), String> {
        self.check_on(gpu, strategy)?;
        let twin = self.plan(gpu, strategy).and_then(|plan| checks::twin(gpu, &[plan]));
        twin.map_or(Ok(()), |twin| self.check_on(&twin, strategy).map_err(|reason| format!("with checks, {reason}")))
    }

    fn check_on(&self, gpu: &Gpu, strategy: Strategy) -> Result<(), String> {
        let mut norm = GpuNorm::new(gpu, self.spec.clone()).map_err(|error| error.to_string())?;
        norm.load_state_dict(&state_dict(&self.before), "").map_err(|error| error.to_string())?;
        norm.set_strategy(strategy);
        if self.mode == Mode::Evaluation {
            norm.eval();
        }
        let tensor = Tensor::from_array_as(gpu, &self.x, self.dtype).map_err(|error| error.to_string())?;
        let y = norm.forward_tensor(&tensor).map_err(|error| error.to_string())?;
        let y = y.to_array().map_err(|error| error.to_string())?;
        compare(&y, &self.expected.output, &self.tolerance).map_err(|worst| format!("output, {worst}"))?;
        check_statistics(&norm, &self.before, &self.after, &self.wide, &self.expected)
    }
}

/// What the tolerance does not speak of, per unit of |gamma| / sigma: WGSL lets adapters flush subnormal numbers to 0,
/// and the oracle itself rounds its means to 53 bits.
pub fn allowance(state: &State, x: &ArrayD<f64>, expected: &Forward) -> ArrayD<f64> {
    let gamma = state.weight.as_ref().map_or(1.0, largest);
    let lost = gamma * (f64::from(f32::MIN_POSITIVE) + 8.0 * 2f64.powi(-53) * largest(x));
    expected.inverse_std.mapv(|r| r * lost)
}

/// The largest finite size.
pub fn largest(array: &ArrayD<f64>) -> f64 {
    array.iter().filter(|x| x.is_finite()).fold(0.0, |most: f64, x| most.max(x.abs()))
}

pub fn check_statistics(
    norm: &GpuNorm,
    before: &State,
    after: &State,
    x: &ArrayD<f64>,
    expected: &Forward,
) -> Result<(), String> {
    let found = norm.state_dict("").map_err(|error| error.to_string())?;
    let wanted = state_dict(after);
    if let Some(batches) = wanted.get("num_batches_tracked") {
        let counted = found.get("num_batches_tracked");
        if counted != Some(batches) {
            return Err(format!("num_batches_tracked is {counted:?}, expected {batches}"));
        }
    }
    for (name, new, magnitude) in running(before, after, x, expected) {
        let Some(found) = found.get(name) else { continue };
        let tolerance =
            magnitude.mapv(|magnitude| reference::tolerance(magnitude, expected.row_len.max(x.len()), DType::F32));
        compare(found, new, &tolerance).map_err(|worst| format!("{name}, {worst}"))?;
    }
    Ok(())
}

/// The running statistics that there are, and what their roundings are relative to.
pub fn running<'a>(
    before: &State,
    after: &'a State,
    x: &ArrayD<f64>,
    expected: &Forward,
) -> Vec<(&'static str, &'a ArrayD<f64>, ArrayD<f64>)> {
    // new = (1 - f) old + f batch: each rounding is relative to the larger of its terms. A mean is a sum of values up
    // to max |x|; a variance of squares whose relative error grows with how far the outliers stand out.
    let largest = x.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    let stand_out = expected.magnitude.iter().fold(1.0, |most: f64, &value| most.max(value));
    let pairs = [
        ("running_mean", &before.running_mean, &after.running_mean, 1.0, largest),
        ("running_var", &before.running_var, &after.running_var, stand_out, 0.0),
    ];
    let there = pairs.into_iter().filter_map(|(name, old, new, factor, scale)| {
        let (old, new) = (old.as_ref()?, new.as_ref()?);
        let magnitude = Zip::from(old).and(new).map_collect(|old, new| factor * (old.abs() + new.abs()) + scale);
        Some((name, new, magnitude))
    });
    there.collect()
}

#[test]
fn the_comparer_can_fail() {
    let one = |value: f32| ArrayD::from_elem(IxDyn(&[3]), value);
    let expected = ArrayD::from_elem(IxDyn(&[3]), 1.0);
    let tolerance = ArrayD::from_elem(IxDyn(&[3]), 1e-6);
    assert!(compare(&one(1.0), &expected, &tolerance).is_ok());
    assert!(compare(&one(1.0 + 1e-5), &expected, &tolerance).is_err());
    assert!(compare(&one(f32::NAN), &expected, &tolerance).is_err());
    assert!(compare(&one(f32::INFINITY), &expected, &tolerance).is_err());
    assert!(compare(&one(1.0), &expected.mapv(|_| f64::NAN), &tolerance).is_err());
    let mut last = one(1.0);
    last[2] = 1.1;
    assert!(compare(&last, &expected, &tolerance).is_err());
    let shorter = ArrayD::from_elem(IxDyn(&[2]), 1.0);
    assert!(compare(&shorter, &expected, &tolerance).is_err());
}

/// A wrong layer must be told from a right one by the whole check, not only by `compare`.
#[test]
fn the_check_can_fail() {
    let gpu = adapters::first();
    let x = ArrayD::from_shape_fn(IxDyn(&[4, 3, 5]), |i| ((i[0] * 7 + i[1] * 3 + i[2] * i[2]) % 11) as f32);
    let spec: NormSpec = gpunorm::BatchNorm::new(3).momentum(1.0).into();
    let state = State::new(&spec).unwrap();
    let mut norm = GpuNorm::new(gpu, gpunorm::BatchNorm::new(3).momentum(0.999)).unwrap();
    norm.train();
    let y = norm.forward(&x).unwrap();
    let mut after = state.clone();
    let stored = x.mapv(f64::from);
    let expected = reference::forward(&spec, Mode::Training, &mut after, &stored).unwrap();
    compare(&y, &expected.output, &expected.tolerance(DType::F32)).unwrap();
    assert!(check_statistics(&norm, &state, &after, &stored, &expected).is_err(), "a running variance that is off");
}
