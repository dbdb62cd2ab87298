//! GPU against oracle: what is compared, and how far apart it may be.

use gpunorm::reference::{self, Forward, State};
use gpunorm::{DType, StateDict};
use ndarray::{ArrayD, IxDyn, Zip};

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

/// Fails if a running statistic of the state dict that was `found` is out of tolerance.
pub fn check_statistics(
    found: &StateDict,
    before: &State,
    after: &State,
    x: &ArrayD<f64>,
    expected: &Forward,
) -> Result<(), String> {
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
