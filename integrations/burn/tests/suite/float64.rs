//! Every layer against float64: on PyTorch's results (tests/fixtures), at large means, on constant rows.

use burn::tensor::FloatDType;
use gpunorm::half::{bf16, f16};
use gpunorm::ndarray::ArrayD;
use gpunorm::reference::{self, State};
use gpunorm::unstable::Geometry;
use gpunorm::{BatchNorm, DType, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm, SwitchableNorm};
use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::{Map, Value};

use crate::compare::{compare, gradient_allowance, output_allowance};
use crate::layer::{Layer, device_for};
use crate::values::{device, values};

/// A layer as a module against the oracle: output, running statistics and, unless it is evaluated as users evaluate it, gradients.
pub fn check(
    spec: &NormSpec,
    mode: Mode,
    state: &State,
    [x, dy]: [&ArrayD<f32>; 2],
    dtype: DType,
) -> Option<Result<(), String>> {
    check_on(&device(), spec, mode, state, [x, dy], dtype)
}

pub fn check_on(
    device: &burn::tensor::Device,
    spec: &NormSpec,
    mode: Mode,
    state: &State,
    [x, dy]: [&ArrayD<f32>; 2],
    dtype: DType,
) -> Option<Result<(), String>> {
    Geometry::new(spec, mode, x.shape()).ok()?;
    if matches!(spec, NormSpec::Instance(_)) && x.ndim() < 3 {
        return None;
    }
    let layer = Layer::new(spec, state, &device_for(mode, device))?;
    let round = |array: &ArrayD<f32>| match dtype {
        DType::F16 => array.mapv(|value| f16::from_f32(value).to_f32()),
        DType::BF16 => array.mapv(|value| bf16::from_f32(value).to_f32()),
        _ => array.clone(),
    };
    let float = match dtype {
        DType::F16 => FloatDType::F16,
        DType::BF16 => FloatDType::BF16,
        _ => FloatDType::F32,
    };
    let (x, dy) = (round(x), round(dy));
    // burn has no arithmetic in bf16 where there is WGSL, so no loss and no gradient.
    let differentiates = mode == Mode::Training && dtype != DType::BF16;
    let found = layer.run(&x, differentiates.then_some(&dy), &device_for(mode, device), float);
    Some((|| {
        let (wide, wide_dy, mut after) = (x.mapv(f64::from), dy.mapv(f64::from), state.clone());
        let expected = reference::forward(spec, mode, &mut after, &wide).map_err(|error| error.to_string())?;
        let tolerance = expected.tolerance(dtype) + output_allowance(&expected, state, &wide);
        compare("output", &found.output, &expected.output, &tolerance)?;
        if let Some([mean, var]) = &found.running {
            // A running statistic is a mean of numbers of this size, in f32.
            for (what, found, expected) in
                [("running_mean", mean, &after.running_mean), ("running_var", var, &after.running_var)]
            {
                let expected = expected.as_ref().ok_or("a running statistic")?;
                let most =
                    crate::compare::largest(expected).max(crate::compare::largest(&wide).powi(2) * 2f64.powi(-24));
                let tolerance =
                    reference::tolerance(most, expected.len().max(expected_len(&expected.view(), &wide)), DType::F32);
                compare(what, found, expected, &expected.mapv(|_| tolerance))?;
            }
        }
        if !differentiates {
            return Ok(());
        }
        let expected_gradients =
            reference::backward(spec, mode, state, &wide, &wide_dy).map_err(|error| error.to_string())?;
        let mut missing = vec![];
        for (name, gradient) in expected_gradients.named() {
            let Some(gradient) = gradient else { continue };
            let Some((_, found)) = found.gradients.iter().find(|(found, _)| *found == name) else {
                missing.push(name);
                continue;
            };
            let dtype = if name == "input" { dtype } else { DType::F32 };
            let allowance = gradient_allowance(name, &expected, state, [&wide, &wide_dy]);
            compare(name, found, &gradient.value, &(gradient.tolerance(dtype) + allowance))?;
        }
        if missing.is_empty() { Ok(()) } else { Err(format!("no gradient of {missing:?}")) }
    })())
}

/// Values behind one running statistic.
fn expected_len(statistics: &gpunorm::ndarray::ArrayViewD<f64>, x: &ArrayD<f64>) -> usize {
    x.len() / statistics.len().max(1)
}

/// Random parameters and running statistics.
pub fn state(spec: &NormSpec) -> State {
    let mut state = State::new(spec).expect("a valid spec");
    let arrays =
        [&mut state.weight, &mut state.bias, &mut state.mean_weight, &mut state.var_weight, &mut state.running_mean];
    for (array, seed) in arrays.into_iter().zip(3..) {
        if let Some(array) = array {
            *array = values(array.shape(), seed, 0.3, 1.0).mapv(f64::from);
        }
    }
    if let Some(array) = &mut state.running_var {
        *array = values(array.shape(), 9, 1.0, 0.2).mapv(|value| f64::from(value.abs() + 0.1));
    }
    state
}

/// Every norm with its options, for inputs of this shape.
pub fn specs(shape: &[usize]) -> Vec<NormSpec> {
    let (c, last) = (shape[1], &shape[shape.len() - 1..]);
    let groups = (2..c).find(|groups| c.is_multiple_of(*groups)).unwrap_or(1);
    let mut specs: Vec<NormSpec> = vec![
        LayerNorm::new(last).into(),
        LayerNorm::new(last).bias(false).into(),
        LayerNorm::new(last).affine(false).into(),
        LayerNorm::new(&shape[1..]).into(),
        RmsNorm::new(last).eps(1e-5).into(),
        RmsNorm::new(last).affine(false).into(),
        RmsNorm::new(&shape[1..]).into(),
        GroupNorm::new(groups, c).into(),
        GroupNorm::new(1, c).affine(false).into(),
        BatchNorm::new(c).into(),
        BatchNorm::new(c).affine(false).track_running_stats(false).into(),
        BatchNorm::new(c).cumulative_average().into(),
        SwitchableNorm::new(c).into(),
        SwitchableNorm::new(c).affine(false).momentum(0.3).into(),
    ];
    if shape.len() > 2 {
        specs.push(InstanceNorm::new(c).affine(true).into());
        specs.push(InstanceNorm::new(c).track_running_stats(true).momentum(0.3).into());
    }
    specs
}

fn assert_none(failures: &[String], checks: usize, least: usize) {
    let shown = failures.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {checks} failed:\n{shown}", failures.len());
    assert!(checks >= least, "only {checks} checks ran");
    println!("{checks} checks");
}

#[test]
fn every_norm_of_every_shape_and_type() {
    let (mut failures, mut checks) = (vec![], 0);
    let shapes: [&[usize]; 6] = [&[5, 6], &[3, 6, 11], &[2, 6, 8, 8], &[4, 6, 7, 7], &[2, 4, 3, 4, 5], &[2, 8, 4099]];
    for (number, shape) in shapes.into_iter().enumerate() {
        let (x, dy) = (values(shape, 1, 0.5, 2.0), values(shape, 2, 0.1, 1.0));
        for (index, spec) in specs(shape).iter().enumerate() {
            for (turn, mode) in [Mode::Training, Mode::Evaluation].into_iter().enumerate() {
                let dtype = [DType::F32, DType::F16, DType::BF16][(index + number + turn) % 3];
                for dtype in if dtype == DType::F32 { vec![dtype] } else { vec![DType::F32, dtype] } {
                    let Some(result) = check(spec, mode, &state(spec), [&x, &dy], dtype) else { continue };
                    checks += 1;
                    failures
                        .extend(result.err().map(|error| format!("{spec:?}, {mode:?}, {shape:?}, {dtype}: {error}")));
                }
            }
        }
    }
    assert_none(&failures, checks, 250);
}

#[test]
fn large_means_cost_nothing() {
    let (mut failures, mut checks) = (vec![], 0);
    let shape = [4, 6, 16, 16];
    for mean in [1e2, 1e4, 1e5, 1e6] {
        let (x, dy) = (values(&shape, 1, mean, 1.0), values(&shape, 2, 0.1, 1.0));
        for spec in specs(&shape) {
            let Some(result) = check(&spec, Mode::Training, &state(&spec), [&x, &dy], DType::F32) else { continue };
            checks += 1;
            failures.extend(result.err().map(|error| format!("{spec:?}, mean {mean}: {error}")));
        }
    }
    assert_none(&failures, checks, 50);
}

/// What burn's own make 6e-5, 0.36 and 1 of (design/burn.md, §1).
#[test]
fn constant_rows_are_the_bias() {
    for value in [0.1, 1234.567, 1_000_000.3] {
        let spec = NormSpec::from(LayerNorm::new(768));
        let (device, x) = (device(), ArrayD::from_elem(vec![64, 768], value));
        let layer = Layer::new(&spec, &State::new(&spec).expect("a spec"), &device).expect("a module");
        let found = layer.run(&x, None, &device, FloatDType::F32);
        assert!(found.output.iter().all(|&y| y == 0.0), "{value}");
    }
}

/// PyTorch's float64 results are those of the oracle, which gpunorm's own tests hold to them; here modules meet the very inputs, and what
/// torch made of its running statistics.
#[test]
fn torch_fixtures() {
    let list: Vec<Value> = serde_json::from_str(include_str!("../../../../tests/fixtures/torch.json")).expect("a list");
    let tensors =
        SafeTensors::deserialize(include_bytes!("../../../../tests/fixtures/torch.safetensors")).expect("tensors");
    let (mut failures, mut checks) = (vec![], 0);
    for (index, entry) in list.iter().enumerate() {
        let read = |key: &str| fixture(&tensors, &format!("{index}.{key}"));
        let name = entry["name"].as_str().expect("a name");
        let Some(spec) = spec(entry["norm"].as_str().expect("a norm"), entry["args"].as_object().expect("arguments"))
        else {
            continue;
        };
        let mut before = State::new(&spec).expect("a spec");
        (before.weight, before.bias) = (read("weight"), read("bias"));
        (before.mean_weight, before.var_weight) = (read("mean_weight"), read("var_weight"));
        [before.running_mean, before.running_var] = ["mean", "var"].map(|of| read(&format!("before.running_{of}")));
        before.num_batches_tracked = entry.get("count").and_then(|count| count[0].as_u64());
        let mode = if entry["mode"] == "training" { Mode::Training } else { Mode::Evaluation };
        let [x, dy] = ["x", "dy"].map(|key| read(key).expect("a tensor").mapv(|value| value as f32));
        if x.is_empty() {
            // The README says what is other there: no gradients of parameters.
            continue;
        }
        let Some(result) = check(&spec, mode, &before, [&x, &dy], DType::F32) else { continue };
        checks += 1;
        failures.extend(result.err().map(|error| format!("{name}: {error}")));

        // The oracle's results are in there.
        let mut after = before.clone();
        let expected = reference::forward(&spec, mode, &mut after, &x.mapv(f64::from)).expect("a forward");
        let y = read("y").expect("an output");
        let tolerance = expected.tolerance(DType::F32);
        let worst = (&expected.output - &y).mapv(f64::abs) - tolerance;
        assert!(worst.iter().all(|&excess| excess <= 1e-6), "{name}: the oracle is not torch's");
    }
    assert_none(&failures, checks, 30);
}

fn fixture(tensors: &SafeTensors, key: &str) -> Option<ArrayD<f64>> {
    let view = tensors.tensor(key).ok()?;
    let bytes = view.data();
    let values = match view.dtype() {
        Dtype::F32 => bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes")).into()).collect(),
        Dtype::F64 => bytes.chunks(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes"))).collect(),
        other => panic!("{key}: {other:?}"),
    };
    Some(ArrayD::from_shape_vec(view.shape(), values).expect("as many values"))
}

/// torch's arguments, as far as modules have them.
fn spec(norm: &str, args: &Map<String, Value>) -> Option<NormSpec> {
    let number = |key: &str| args.get(key).and_then(Value::as_u64).map(|value| value as usize);
    let flag = |key: &str, default| args.get(key).and_then(Value::as_bool).unwrap_or(default);
    let eps = |default: f32| args.get("eps").and_then(Value::as_f64).map_or(default, |eps| eps as f32);
    let normalized = || -> Option<Vec<usize>> {
        let shape = args.get("normalized_shape")?;
        match shape.as_u64() {
            Some(size) => Some(vec![size as usize]),
            None => shape.as_array()?.iter().map(|size| Some(size.as_u64()? as usize)).collect(),
        }
    };
    // burn's modules take no other momentum and no other epsilon, torch's do.
    let momentum = args.get("momentum").and_then(Value::as_f64);
    if momentum.is_some_and(|momentum| !(0.0..=1.0).contains(&momentum)) || eps(1.0) <= 0.0 {
        return None;
    }
    Some(match norm {
        "batch" => {
            let spec = BatchNorm::new(number("num_features")?).eps(eps(1e-5)).affine(flag("affine", true));
            let spec = spec.track_running_stats(flag("track_running_stats", true)).bias(flag("bias", true));
            match args.get("momentum") {
                Some(Value::Null) => spec.cumulative_average().into(),
                Some(_) => spec.momentum(momentum? as f32).into(),
                None => spec.into(),
            }
        }
        "layer" => LayerNorm::new(normalized()?)
            .eps(eps(1e-5))
            .affine(flag("elementwise_affine", true))
            .bias(flag("bias", true))
            .into(),
        "rms" => RmsNorm::new(normalized()?).eps(eps(f32::EPSILON)).affine(flag("elementwise_affine", true)).into(),
        "group" => GroupNorm::new(number("num_groups")?, number("num_channels")?)
            .eps(eps(1e-5))
            .affine(flag("affine", true))
            .bias(flag("bias", true))
            .into(),
        "instance" => {
            let spec = InstanceNorm::new(number("num_features")?).eps(eps(1e-5)).affine(flag("affine", false));
            let spec = spec.track_running_stats(flag("track_running_stats", false)).bias(flag("bias", true));
            match args.get("momentum") {
                Some(Value::Null) => return None,
                Some(_) => spec.momentum(momentum? as f32).into(),
                None => spec.into(),
            }
        }
        _ => return None,
    })
}
