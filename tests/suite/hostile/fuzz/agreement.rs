//! What the fuzzer expects is what the crate's oracle says, and a wrong layer is told from a right one.

use gpunorm::reference::{self, State};
use gpunorm::unstable::Strategy;
use gpunorm::{DType, Mode};
use ndarray::ArrayD;

use super::super::super::adapters;
use super::case::Case;
use super::exact::{Exact, Wanted};
use super::run::{Expected, Failure};

/// The worst difference, relative to what was added up.
fn worst(found: &Wanted, oracle: &ArrayD<f64>) -> f64 {
    assert_eq!(found.values.len(), oracle.len());
    let off = found.values.iter().zip(oracle).zip(&found.magnitudes);
    off.fold(0.0, |worst: f64, ((found, oracle), size)| worst.max((found - oracle).abs() / (size + 1e-30)))
}

#[test]
fn two_computations_agree() {
    for seed in 0..400 {
        let case = Case::new(seed);
        let [x, dy] = case.tensors();
        // The oracle rounds its means to 53 bits.
        if x.is_empty() || x.len() > 4000 || case.values.starts_with("mean") || case.values == "constant" {
            continue;
        }
        let (arrays, spec) = (case.arrays(), case.layer.spec(&case.shape));
        let mut state = State::new(&spec).unwrap();
        let fill = |array: &mut Option<ArrayD<f64>>, values: &[f64]| {
            array.iter_mut().flatten().zip(values).for_each(|(to, from)| *to = *from);
        };
        fill(&mut state.weight, &arrays.weight);
        fill(&mut state.bias, &arrays.bias);
        fill(&mut state.mean_weight, &arrays.mean_weight);
        fill(&mut state.var_weight, &arrays.var_weight);
        fill(&mut state.running_mean, &arrays.running_mean);
        fill(&mut state.running_var, &arrays.running_var);
        state.num_batches_tracked = state.num_batches_tracked.map(|_| arrays.batches as u64);
        let array = |values: &[f32]| {
            let values = case.given(values).into_iter().map(f64::from).collect();
            ArrayD::from_shape_vec(case.given_shape(), values).unwrap()
        };
        let (input, slopes) = (array(&x), array(&dy));
        let exact = Exact::new(&case.layer, &arrays, &case.shape, case.mode, &x);
        // Where the layer has the elements.
        let elsewhere = |wanted: &mut Wanted| {
            wanted.values = case.given(&wanted.values);
            wanted.magnitudes = case.given(&wanted.magnitudes);
        };
        let gradients = reference::backward(&spec, case.mode, &state, &input, &slopes).unwrap();
        for ((what, oracle), found) in gradients.named().into_iter().zip(exact.gradients(&dy)) {
            assert_eq!(oracle.is_some(), found.is_some(), "{what}, {case:?}");
            if let (Some(oracle), Some(mut found)) = (oracle, found) {
                if what == "input" {
                    elsewhere(&mut found);
                }
                assert!(
                    worst(&found, &oracle.value) < 1e-8,
                    "{what}, {case:?}\n{:?}\n{:?}",
                    found.values,
                    oracle.value
                );
            }
        }
        let output = reference::forward(&spec, case.mode, &mut state, &input).unwrap();
        let mut found = exact.output();
        elsewhere(&mut found);
        assert!(worst(&found, &output.output) < 1e-8, "{case:?}");
        if case.mode == Mode::Training && case.layer.tracks() {
            let [mean, var] = exact.running(1);
            assert!(worst(&mean, &state.running_mean.unwrap()) < 1e-8, "running_mean, {case:?}");
            assert!(worst(&var, &state.running_var.unwrap()) < 1e-8, "running_var, {case:?}");
        }
    }
}

/// By its eps, a statistic, a way to mix or what it reads.
#[test]
fn a_wrong_layer_is_found_out() {
    let gpu = adapters::first();
    let mut found = 0;
    for seed in 0..60 {
        let mut case = Case::new(seed);
        (case.device, case.ceiling, case.strategy, case.dtype) = (0, None, Strategy::default(), DType::F32);
        (case.values, case.layer.eps) = ("normal", 1e-3);
        let expected = Expected::of(&case);
        // Of one value eps makes nothing else, nor of what is multiplied by 0.
        let [x, _] = case.tensors();
        let weight = case.arrays().weight;
        if !weight.is_empty() && weight.iter().all(|&weight| weight == 0.0) {
            continue;
        }
        if x.is_empty() || Exact::new(&case.layer, &case.arrays(), &case.shape, case.mode, &x).longest() == 1.0 {
            continue;
        }
        case.layer.eps = 1.1e-3;
        let wrong = expected.check(&case, gpu);
        assert!(matches!(wrong, Err(Failure::Wrong(_))), "{case:?}: {wrong:?}");
        found += 1;
    }
    assert!(found > 20, "only {found} layers");
}
