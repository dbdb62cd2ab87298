//! This crate's f32 beside torch's on the CPU, both held to torch in float64.

use gpunorm::reference;
use gpunorm::{DType, Gpu, GpuNorm, Tensor};
use ndarray::ArrayD;

use super::compare::{compare, running, state_dict};
use super::failures::Failures;
use super::{adapters, torch};

/// A result by the fixtures' name: as computed, torch's in float64, and what the roundings of each element are relative to.
type Found = (String, ArrayD<f32>, ArrayD<f64>, ArrayD<f64>);

fn results(gpu: &Gpu, case: &torch::Case) -> Vec<Found> {
    let mut norm = GpuNorm::new(gpu, case.spec.clone()).unwrap();
    norm.load_state_dict(&state_dict(&case.before), "").unwrap();
    norm.set_mode(case.mode);
    let tensor = |values: &ArrayD<f64>| Tensor::from_array(gpu, &values.mapv(|value| value as f32)).unwrap();
    let array = |tensor: &Tensor| tensor.to_array().unwrap();

    let forward = reference::forward(&case.spec, case.mode, &mut case.before.clone(), &case.x).unwrap();
    let backward = reference::backward(&case.spec, case.mode, &case.before, &case.x, &case.dy).unwrap();
    let x = tensor(&case.x);
    let y = array(&norm.forward_tensor(&x).unwrap());
    let after = norm.state_dict("").unwrap();
    // No other numbers, though the running statistics have moved: in training they are not used.
    let (_, saved) = norm.forward_saved(&x).unwrap();
    let gradients = norm.backward(&tensor(&case.dy), &saved).unwrap();

    let mut results = vec![("y".to_owned(), y, case.y.clone(), forward.magnitude.clone())];
    for (name, expected, magnitude) in running(&case.before, &case.after, &case.x, &forward) {
        results.push((format!("after.{name}"), after.get(name).unwrap().clone(), expected.clone(), magnitude));
    }
    let gradients = gradients.named().into_iter().zip(backward.named()).zip(&case.gradients);
    for (((what, found), (_, oracle)), (_, expected)) in gradients {
        let (Some(found), Some(oracle), Some(expected)) = (found, oracle, expected) else { continue };
        let name = if what == "input" { "x" } else { what };
        results.push((format!("grad.{name}"), array(found), expected.clone(), oracle.magnitude.clone()));
    }
    results
}

/// The four roundings that an f32 evaluation of the formula ends with, torch's as well, however exact the statistics are:
/// what [`reference::tolerance`] counts beside them, in a row of one element and without its factor.
fn last_roundings(magnitude: f64) -> f64 {
    reference::tolerance(magnitude, 1, DType::F32) / 4.0
}

/// No element is further off than torch's worst of that result, or than its last roundings take it.
#[test]
fn errors_are_at_most_torchs() {
    let mut failures = Failures::default();
    let [mut all, mut torch_nearer] = [0; 2];
    for case in torch::cases() {
        for (adapter, gpu) in adapters::all() {
            let results = results(gpu, &case);
            assert_eq!(results.len(), case.float32.len(), "{}", case.name);
            for (result, found, expected, magnitude) in results {
                let torchs = case.float32[&result];
                let allowed = magnitude.mapv(|magnitude| last_roundings(magnitude).max(torchs));
                failures.check(|| format!("{adapter}, {}, {result}", case.name), compare(&found, &expected, &allowed));
                all += 1;
                torch_nearer += usize::from(compare(&found, &expected, &expected.mapv(|_| torchs)).is_err());
            }
        }
    }
    println!("torch's worst element is the nearer one in {torch_nearer} of {all} results");
    failures.assert_none(1100);
}
