//! How far what is found may be from what is expected: as the kernels' own tests have it (`gpunorm::reference::tolerance`).

use gpunorm::ndarray::{ArrayD, Zip};
use gpunorm::reference::{Forward, State};

/// Whether every element is within its tolerance. The error names the worst.
pub fn compare(what: &str, found: &ArrayD<f32>, expected: &ArrayD<f64>, tolerance: &ArrayD<f64>) -> Result<(), String> {
    if found.shape() != expected.shape() {
        return Err(format!("{what}: shape {:?}, expected {:?}", found.shape(), expected.shape()));
    }
    let mut worst = (1.0, String::new());
    Zip::from(found).and(expected).and(tolerance).for_each(|&found, &expected, &tolerance| {
        let error = (f64::from(found) - expected).abs();
        let ratio = if error == 0.0 { 0.0 } else { error / tolerance };
        if ratio > worst.0 || ratio.is_nan() {
            worst = (ratio, format!("{found} for {expected}, {ratio:.2} times the tolerance {tolerance:e}"));
        }
    });
    if worst.1.is_empty() { Ok(()) } else { Err(format!("{what}: {}", worst.1)) }
}

/// The largest size.
pub fn largest(array: &ArrayD<f64>) -> f64 {
    array.iter().fold(0.0, |most: f64, value| most.max(value.abs()))
}

/// What the tolerance does not speak of: adapters may flush subnormal numbers, and the oracle rounds its means to 53 bits. x̂ is off by it,
/// and multiplied with the second number at most.
fn off(forward: &Forward, x: &ArrayD<f64>) -> (f64, f64) {
    let r = largest(&forward.inverse_std);
    (r * (8.0 * 2f64.powi(-53) * largest(x) + f64::from(f32::MIN_POSITIVE)), r)
}

/// That much of an output.
pub fn output_allowance(forward: &Forward, state: &State, x: &ArrayD<f64>) -> f64 {
    off(forward, x).0 * state.weight.as_ref().map_or(1.0, largest)
}

/// And of a gradient, by its name.
pub fn gradient_allowance(what: &str, forward: &Forward, state: &State, [x, dy]: [&ArrayD<f64>; 2]) -> f64 {
    let (off, r) = off(forward, x);
    let gamma = state.weight.as_ref().map_or(1.0, largest);
    let sum = dy.mapv(f64::abs).sum();
    match what {
        "input" => off * r * gamma * largest(dy) + f64::from(f32::MIN_POSITIVE),
        "weight" => off * sum,
        "mean_weight" | "var_weight" => off * gamma * sum,
        _ => f64::from(f32::MIN_POSITIVE),
    }
}
