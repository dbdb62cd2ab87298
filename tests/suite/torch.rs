//! PyTorch's own results, from `tests/fixtures/` (made by `generate.py` and `layouts.py` there), and the oracle held to them.

use std::collections::BTreeMap;

use gpunorm::reference::{self, State};
use gpunorm::{
    BatchNorm, GroupNorm, InstanceNorm, LayerNorm, Mode, Momentum, NormSpec, RmsNorm, SwitchableNorm, Variance,
    Weighting,
};
use ndarray::ArrayD;
use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

/// One forward and backward of torch in float64. All inputs are f32 numbers.
pub struct Case {
    pub name: String,
    pub spec: NormSpec,
    pub mode: Mode,
    pub x: ArrayD<f64>,
    pub before: State,
    pub y: ArrayD<f64>,
    pub after: State,
    /// What the output's gradient is in the backward pass.
    pub dy: ArrayD<f64>,
    /// The gradients of `Σ y·dy`, by what they are of.
    pub gradients: Vec<(&'static str, Option<ArrayD<f64>>)>,
    /// The largest error of each result in float32, by the fixtures' names.
    pub float32: BTreeMap<String, f64>,
}

/// All fixtures.
pub fn cases() -> Vec<Case> {
    let of = |list: &str, tensors: &[u8]| {
        let (list, tensors): (Vec<Value>, _) =
            (serde_json::from_str(list).unwrap(), SafeTensors::deserialize(tensors).unwrap());
        let case = |(index, entry)| case(entry, &|key| tensor(&tensors, &format!("{index}.{key}")));
        list.iter().enumerate().map(case).collect::<Vec<_>>()
    };
    [
        of(include_str!("../fixtures/torch.json"), include_bytes!("../fixtures/torch.safetensors")),
        of(include_str!("../fixtures/layouts.json"), include_bytes!("../fixtures/layouts.safetensors")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn case(entry: &Value, tensor: &dyn Fn(&str) -> Option<ArrayD<f64>>) -> Case {
    let given = |key: &str| tensor(key).unwrap_or_else(|| panic!("{entry}: no {key}"));
    let spec = spec(entry["norm"].as_str().unwrap(), entry["args"].as_object().unwrap());
    let state = |when: &str, place: usize| {
        let mut state = State::new(&spec).unwrap();
        (state.weight, state.bias) = (tensor("weight"), tensor("bias"));
        (state.mean_weight, state.var_weight) = (tensor("mean_weight"), tensor("var_weight"));
        let running = ["mean", "var"].map(|name| tensor(&format!("{when}.running_{name}")));
        [state.running_mean, state.running_var] = running;
        state.num_batches_tracked = entry.get("count").map(|count| count[place].as_u64().unwrap());
        state
    };
    Case {
        name: entry["name"].as_str().unwrap().to_owned(),
        mode: match entry["mode"].as_str().unwrap() {
            "training" => Mode::Training,
            "evaluation" => Mode::Evaluation,
            other => panic!("mode {other}"),
        },
        x: given("x"),
        before: state("before", 0),
        y: given("y"),
        after: state("after", 1),
        spec,
        dy: given("dy"),
        gradients: vec![
            ("input", Some(given("grad.x"))),
            ("weight", tensor("grad.weight")),
            ("bias", tensor("grad.bias")),
            ("mean_weight", tensor("grad.mean_weight")),
            ("var_weight", tensor("grad.var_weight")),
        ],
        // serde_json may read one ulp less than is written.
        float32: entry["float32"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(result, error)| (result.clone(), error.as_f64().unwrap().next_up()))
            .collect(),
    }
}

/// What a spec says of itself, by torch's names.
#[test]
fn specs_tell_what_they_were_made_of() {
    let lists = [include_str!("../fixtures/torch.json"), include_str!("../fixtures/layouts.json")];
    let list = lists.into_iter().flat_map(|list| serde_json::from_str::<Vec<Value>>(list).unwrap());
    let mut told = std::collections::BTreeSet::new();
    for entry in list {
        let (norm, args) = (entry["norm"].as_str().unwrap(), entry["args"].as_object().unwrap());
        let spec = spec(norm, args);
        for (name, value) in args {
            let same = match name.as_str() {
                "eps" => value.as_f64() == Some(spec.eps().into()),
                "num_features" | "num_channels" => json!([value]) == json!(spec.parameter_shape()),
                "normalized_shape" => *value == json!(spec.parameter_shape()),
                "num_groups" => value.as_u64() == spec.num_groups().map(|groups| groups as u64),
                "momentum" => match spec.momentum() {
                    None => !spec.has_running_stats(),
                    Some(Momentum::Cumulative) => value.is_null(),
                    Some(Momentum::Fixed(momentum)) => value.as_f64() == Some(momentum.into()),
                },
                "affine" | "elementwise_affine" => value.as_bool() == Some(spec.has_weight()),
                "channels_last" => value.as_bool() == Some(spec.channels_last()),
                "channels_first" => value.as_bool() == Some(spec.channels_first()),
                _ => continue,
            };
            assert!(same, "{name} of {entry}: {spec:?}");
            told.insert(name.clone());
        }
        assert_eq!(spec.weighting().is_some(), norm == "switchable");
        assert_eq!(spec.variance().is_some(), norm == "switchable");
    }
    assert_eq!(told.len(), 10, "{told:?}");
}

pub fn tensor(tensors: &SafeTensors, key: &str) -> Option<ArrayD<f64>> {
    let view = tensors.tensor(key).ok()?;
    let values = match view.dtype() {
        Dtype::F32 => view.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect(),
        Dtype::F64 => view.data().chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
        other => panic!("{key}: {other:?}"),
    };
    Some(ArrayD::from_shape_vec(view.shape(), values).unwrap())
}

/// The layer that torch's arguments describe; none of them may go unused.
pub fn spec(norm: &str, args: &Map<String, Value>) -> NormSpec {
    let size = |key: &str| args[key].as_u64().unwrap() as usize;
    let shape = || -> Vec<usize> {
        args["normalized_shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect()
    };
    let number = |value: &Value| value.as_f64().unwrap() as f32;
    let on = |value: &Value| value.as_bool().unwrap();
    let args = args.iter().map(|(key, value)| (key.as_str(), value));
    match norm {
        "batch" => args
            .fold(BatchNorm::new(size("num_features")), |norm, (key, value)| match key {
                "num_features" => norm,
                "eps" => norm.eps(number(value)),
                "momentum" if value.is_null() => norm.cumulative_average(),
                "momentum" => norm.momentum(number(value)),
                "affine" => norm.affine(on(value)),
                "bias" => norm.bias(on(value)),
                "track_running_stats" => norm.track_running_stats(on(value)),
                "channels_last" => norm.channels_last(),
                _ => panic!("batch norm: {key}"),
            })
            .into(),
        "layer" => args
            .fold(LayerNorm::new(shape()), |norm, (key, value)| match key {
                "normalized_shape" => norm,
                "eps" => norm.eps(number(value)),
                "elementwise_affine" => norm.affine(on(value)),
                "bias" => norm.bias(on(value)),
                "channels_first" => norm.channels_first(),
                _ => panic!("layer norm: {key}"),
            })
            .into(),
        "instance" => args
            .fold(InstanceNorm::new(size("num_features")), |norm, (key, value)| match key {
                "num_features" => norm,
                "eps" => norm.eps(number(value)),
                "momentum" if value.is_null() => norm.cumulative_average(),
                "momentum" => norm.momentum(number(value)),
                "affine" => norm.affine(on(value)),
                "bias" => norm.bias(on(value)),
                "track_running_stats" => norm.track_running_stats(on(value)),
                "unbatched" => norm.unbatched(on(value)),
                "channels_last" => norm.channels_last(),
                _ => panic!("instance norm: {key}"),
            })
            .into(),
        "group" => args
            .fold(GroupNorm::new(size("num_groups"), size("num_channels")), |norm, (key, value)| match key {
                "num_groups" | "num_channels" => norm,
                "eps" => norm.eps(number(value)),
                "affine" => norm.affine(on(value)),
                "bias" => norm.bias(on(value)),
                "channels_last" => norm.channels_last(),
                _ => panic!("group norm: {key}"),
            })
            .into(),
        "rms" => args
            .fold(RmsNorm::new(shape()), |norm, (key, value)| match key {
                "normalized_shape" => norm,
                "eps" => norm.eps(number(value)),
                "elementwise_affine" => norm.affine(on(value)),
                "channels_first" => norm.channels_first(),
                _ => panic!("rms norm: {key}"),
            })
            .into(),
        "switchable" => args
            .fold(SwitchableNorm::new(size("num_features")), |norm, (key, value)| match (key, value.as_str()) {
                ("num_features", _) => norm,
                ("eps", _) => norm.eps(number(value)),
                ("momentum", _) if value.is_null() => norm.cumulative_average(),
                ("momentum", _) => norm.momentum(number(value)),
                ("affine", _) => norm.affine(on(value)),
                ("bias", _) => norm.bias(on(value)),
                ("weighting", Some("softmax")) => norm.weighting(Weighting::Softmax),
                ("weighting", Some("plain")) => norm.weighting(Weighting::Plain),
                ("variance", Some("biased")) => norm.variance(Variance::Biased),
                ("variance", Some("reference")) => norm.variance(Variance::Reference),
                ("instance", _) => norm.instance_statistics(on(value)),
                ("batch", _) => norm.batch_statistics(on(value)),
                ("channels_last", _) => norm.channels_last(),
                _ => panic!("switchable norm: {key}"),
            })
            .into(),
        _ => panic!("{norm}"),
    }
}

pub fn largest(values: &ArrayD<f64>) -> f64 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

/// How many times the tolerance `found` is off at its worst element. Two NaNs are equal; a NaN and a number are not.
pub fn excess(found: &ArrayD<f64>, expected: &ArrayD<f64>, tolerance: impl Fn(usize) -> f64) -> f64 {
    assert_eq!(found.shape(), expected.shape());
    let pairs = found.iter().zip(expected).enumerate();
    pairs.fold(0.0, |most: f64, (i, (&found, &expected))| {
        let equal = found == expected || found.is_nan() && expected.is_nan();
        let ratio = if equal { 0.0 } else { (found - expected).abs() / tolerance(i) };
        if ratio.is_nan() { f64::INFINITY } else { most.max(ratio) }
    })
}

/// Rounding to f64, and how many of them a sum over a tree of `row_len` elements and what follows it make.
fn rounding(row_len: usize) -> f64 {
    4.0 * 2f64.powi(-53) * (4.0 + (row_len as f64).log2())
}

/// Both sides round in f64, so they may differ by what [`reference::tolerance`] allows in f32, with f64's `u`. Torch
/// moreover keeps the mean in one number, which is off by `u·|mean|`, or folds it into `weight·r·x + (bias −
/// weight·r·mean)`, whose products are off by `u·|weight·r·x|`; so `weight·r·max |x|` is added to the magnitude.
#[test]
fn the_oracle_computes_what_torch_does() {
    for case in cases() {
        let mut state = case.before.clone();
        let forward = reference::forward(&case.spec, case.mode, &mut state, &case.x).unwrap();
        let u = rounding(forward.row_len);
        let weight = case.before.weight.as_ref().map_or(1.0, largest);
        let size = |i: usize| forward.magnitude.as_slice().unwrap()[i];
        let folded = |i: usize| weight * forward.inverse_std.as_slice().unwrap()[i] * largest(&case.x);
        let off = excess(&forward.output, &case.y, |i| u * (size(i) + folded(i)));
        assert!(off <= 1.0, "{}: off by {off} tolerances\n{}\ntorch:\n{}", case.name, forward.output, case.y);
    }
}

/// A mean is off by `u·max |x|`; a variance, whose mean is off by that, by `u·max |x|·(max − min)`, and in the form
/// `E[x²] − mean²` by `u·max x²`.
#[test]
fn the_oracle_moves_the_statistics_as_torch_does() {
    for case in cases() {
        let mut state = case.before.clone();
        reference::forward(&case.spec, case.mode, &mut state, &case.x).unwrap();
        assert_eq!(state.num_batches_tracked, case.after.num_batches_tracked, "{}", case.name);
        assert_eq!((&state.weight, &state.bias), (&case.after.weight, &case.after.bias), "{}", case.name);
        let u = rounding(case.x.len().max(1));
        let (most, least) = case.x.iter().fold((f64::MIN, f64::MAX), |(most, least), &x| (most.max(x), least.min(x)));
        let size = largest(&case.x);
        let reference = matches!(&case.spec, NormSpec::Switchable(_)) && case.name.contains("variance=reference");
        let spread = if reference { size * size } else { size * (most - least) };
        let pairs = [
            ("mean", size, &state.running_mean, &case.after.running_mean),
            ("variance", spread, &state.running_var, &case.after.running_var),
        ];
        for (what, size, found, expected) in pairs {
            assert_eq!(found.is_some(), expected.is_some(), "{}: running {what}", case.name);
            let (Some(found), Some(expected)) = (found, expected) else { continue };
            // |old| twice: weighted and added.
            let off = excess(found, expected, |i| u * (size + 2.0 * expected.as_slice().unwrap()[i].abs()));
            assert!(off <= 1.0, "{}: running {what} off by {off} tolerances\n{found}\ntorch: {expected}", case.name);
        }
    }
}

/// Torch's `x̂` is off by `u·r·max |x|`, and so are the gradients, relative to their terms; those of the weights also where `x̂`
/// and their terms are 0.
#[test]
fn the_oracle_has_torchs_gradients() {
    for case in cases() {
        let gradients = reference::backward(&case.spec, case.mode, &case.before, &case.x, &case.dy).unwrap();
        let forward = reference::forward(&case.spec, case.mode, &mut case.before.clone(), &case.x).unwrap();
        let kappa = 1.0 + largest(&forward.inverse_std) * largest(&case.x);
        for ((what, found), (_, expected)) in gradients.named().into_iter().zip(&case.gradients) {
            assert_eq!(found.is_some(), expected.is_some(), "{}: {what}", case.name);
            let (Some(found), Some(expected)) = (found, expected) else { continue };
            let u = rounding(found.terms) * kappa;
            let terms = case.dy.mapv(f64::abs).sum()
                * match what {
                    "weight" => 1.0,
                    "mean_weight" | "var_weight" => case.before.weight.as_ref().map_or(1.0, largest),
                    _ => 0.0,
                };
            let off = excess(&found.value, expected, |i| u * (found.magnitude.as_slice().unwrap()[i] + terms));
            let show = &found.value;
            assert!(off <= 1.0, "{}: {what} off by {off} tolerances\n{show}\ntorch: {expected}", case.name);
        }
    }
}

/// The oracle's gradients are its slopes: the change of `Σ y·dy` along a direction, by fourth-order differences. A step
/// of `h` moves `x̂` by a thousandth, which leaves a truncation of 1e-12 and a rounding of
/// `2⁻⁵³·(1 + r·max |x|) / 1e-3`, both relative to `Σ |dy|` times what `y` moves by.
#[test]
fn the_gradients_are_the_slopes_of_the_oracle() {
    const STEP: f64 = 1e-3;
    for case in cases() {
        let run =
            |state: &State, x: &ArrayD<f64>| reference::forward(&case.spec, case.mode, &mut state.clone(), x).unwrap();
        let plain = run(&case.before, &case.x);
        let kinked = plain.inverse_std.iter().any(|&r| r == 0.0 || r.is_nan());
        if kinked || case.y.is_empty() {
            continue;
        }
        let gradients = reference::backward(&case.spec, case.mode, &case.before, &case.x, &case.dy).unwrap();
        let r = largest(&plain.inverse_std);
        let kappa = 1.0 + r * largest(&case.x);
        let size = largest(&case.dy) * case.dy.len() as f64 * largest(&plain.magnitude).max(1.0);
        let loss = |state: &State, x: &ArrayD<f64>| (run(state, x).output * &case.dy).sum();
        let moved = |what: &str, change: &ArrayD<f64>| {
            let mut state = case.before.clone();
            let parameter = match what {
                "input" => return loss(&state, &(&case.x + change)),
                "weight" => &mut state.weight,
                "bias" => &mut state.bias,
                "mean_weight" => &mut state.mean_weight,
                "var_weight" => &mut state.var_weight,
                other => panic!("{other}"),
            };
            *parameter.as_mut().unwrap() += change;
            loss(&state, &case.x)
        };
        for (what, gradient) in gradients.named() {
            let Some(gradient) = gradient.map(|gradient| &gradient.value) else { continue };
            let h = if what == "input" { STEP / r } else { STEP };
            let direction = ArrayD::from_shape_vec(
                gradient.shape(),
                (0..gradient.len()).map(|i| (1.0 + 1.7 * i as f64).sin()).collect(),
            )
            .unwrap();
            let along = |steps: f64| moved(what, &(&direction * (steps * h)));
            let slope = (along(-2.0) - 8.0 * along(-1.0) + 8.0 * along(1.0) - along(2.0)) / (12.0 * h);
            let expected = (gradient * &direction).sum();
            let tolerance = (1e-9 + 4.0 * 2f64.powi(-53) * kappa / STEP) * size * STEP / h;
            let off = (slope - expected).abs() / tolerance;
            assert!(off <= 1.0, "{}: {what} {expected}, slope {slope}, {off} tolerances", case.name);
        }
    }
}

#[test]
fn every_norm_has_cases_and_inputs_are_f32_numbers() {
    let cases = cases();
    for norm in ["batch norm", "layer norm", "instance norm", "group norm", "switchable norm", "rms norm"] {
        assert!(cases.iter().filter(|case| case.spec.name() == norm).count() >= 10, "{norm}");
    }
    for case in cases {
        let before = [&case.before.weight, &case.before.bias, &case.before.running_mean, &case.before.running_var];
        for tensor in before.into_iter().flatten().chain([&case.x, &case.dy]) {
            assert!(tensor.iter().all(|&value| f64::from(value as f32) == value), "{}", case.name);
        }
    }
}

#[test]
fn a_difference_is_noticed() {
    let one = |value: f64| ndarray::arr1(&[0.0, value, 0.0]).into_dyn();
    assert_eq!(excess(&one(1.0), &one(1.0), |_| 1e-3), 0.0);
    assert_eq!(excess(&one(f64::NAN), &one(f64::NAN), |_| 1e-3), 0.0);
    assert!(excess(&one(1.0), &one(1.002), |_| 1e-3) > 1.0);
    assert!(excess(&one(1.0), &one(1.002), |_| 0.0) > 1.0);
    assert!(excess(&one(1.0), &one(f64::NAN), |_| 1e-3) > 1.0);
    assert!(excess(&one(f64::NAN), &one(1.0), |_| 1e-3) > 1.0);
    assert!(excess(&one(1.0), &one(f64::INFINITY), |_| 1e-3) > 1.0);
}
