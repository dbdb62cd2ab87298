//! Parameters and running statistics: how they move, and how they are saved and loaded.

use std::path::PathBuf;

use gpunorm::reference::{self, State};
use gpunorm::{
    BatchNorm, DType, Error, GpuNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm, StateDict, SwitchableNorm,
    Tensor, Weighting,
};
use half::{bf16, f16};
use ndarray::{ArrayD, Axis, IxDyn, arr1};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{adapters, compare, data};

const SHAPE: [usize; 3] = [4, 6, 5];

fn layer(spec: &NormSpec, state: &State) -> GpuNorm {
    let mut norm = GpuNorm::new(adapters::first(), spec.clone()).unwrap();
    norm.load_state_dict(&compare::state_dict(state), "").unwrap();
    norm
}

fn count(norm: &GpuNorm) -> f32 {
    norm.state_dict("").unwrap().get("num_batches_tracked").expect("a layer that tracks")[[]]
}

/// The `n`th batch, each with its own mean and spread.
fn batch(n: usize) -> ArrayD<f32> {
    data::values("normal", &[SHAPE[0] + n, SHAPE[1], SHAPE[2]], 1) * (1.0 + n as f32) + 0.5 * n as f32
}

fn every_spec() -> Vec<NormSpec> {
    data::channel_specs(SHAPE[1]).into_iter().chain(data::trailing_specs(&SHAPE, 1)).collect()
}

// ---- how running statistics move

#[test]
fn running_statistics_follow_the_oracle_over_many_batches() {
    let specs: [NormSpec; 10] = [
        BatchNorm::new(6).into(),
        BatchNorm::new(6).momentum(1.0).into(),
        BatchNorm::new(6).momentum(0.0).into(),
        BatchNorm::new(6).momentum(-1.2).into(),
        BatchNorm::new(6).cumulative_average().into(),
        InstanceNorm::new(6).track_running_stats(true).into(),
        InstanceNorm::new(6).track_running_stats(true).momentum(1.0).into(),
        InstanceNorm::new(6).track_running_stats(true).cumulative_average().into(),
        SwitchableNorm::new(6).into(),
        SwitchableNorm::new(6).cumulative_average().into(),
    ];
    for (name, gpu) in adapters::all() {
        for spec in &specs {
            let mut state = State::new(spec).unwrap();
            let norm = GpuNorm::new(gpu, spec.clone()).unwrap();
            for n in 0..4 {
                let x = batch(n);
                norm.forward(&x).unwrap();
                let before = state.clone();
                reference::forward(spec, Mode::Training, &mut state, &x.mapv(f64::from)).unwrap();
                let found = norm.state_dict("").unwrap();
                let largest = x.iter().fold(0.0, |most: f64, &x| most.max(f64::from(x.abs())));
                let pairs = [
                    ("running_mean", &before.running_mean, &state.running_mean, largest),
                    ("running_var", &before.running_var, &state.running_var, largest * largest),
                ];
                for (key, old, expected, scale) in pairs {
                    let (old, expected) = (old.as_ref().unwrap(), expected.as_ref().unwrap());
                    let tolerance =
                        old.mapv(|old| reference::tolerance((n + 1) as f64 * (old.abs() + scale), x.len(), DType::F32));
                    compare::compare(found.get(key).unwrap(), expected, &tolerance)
                        .unwrap_or_else(|reason| panic!("{name}, {spec:?}, batch {n}, {key}, {reason}"));
                }
                assert_eq!(count(&norm), state.num_batches_tracked.unwrap() as f32, "{name}, {spec:?}");
            }
            let moves = format!("{spec:?}").contains("Fixed(0.0)")
                || matches!(spec, NormSpec::Instance(norm) if format!("{norm:?}").contains("Cumulative"));
            let initial = compare::state_dict(&State::new(spec).unwrap());
            let found = norm.state_dict("").unwrap();
            assert_eq!(found.get("running_mean") == initial.get("running_mean"), moves, "{spec:?}");
        }
    }
}

/// With momentum 1 the running variance is the batch's, unbiased: `Σ(x − mean)² / (M − 1)`; switchable norm's is the one
/// that it normalizes with.
#[test]
fn the_running_variance_is_unbiased() {
    let x = batch(1);
    let channels: Vec<Vec<f64>> = x.axis_iter(Axis(1)).map(|c| c.iter().map(|&x| f64::from(x)).collect()).collect();
    let over = |less: f64| {
        let var = |values: &Vec<f64>| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (values.len() as f64 - less)
        };
        arr1(&channels.iter().map(var).collect::<Vec<_>>()).into_dyn()
    };
    let (biased, unbiased) = (over(0.0), over(1.0));
    let tolerance = unbiased.mapv(|var| 1e-5 * var);
    for (spec, expected, other) in [
        (NormSpec::from(BatchNorm::new(6).momentum(1.0)), &unbiased, &biased),
        (SwitchableNorm::new(6).momentum(1.0).into(), &biased, &unbiased),
    ] {
        let norm = GpuNorm::new(adapters::first(), spec.clone()).unwrap();
        norm.forward(&x).unwrap();
        let state = norm.state_dict("").unwrap();
        let found = state.get("running_var").unwrap();
        compare::compare(found, expected, &tolerance).unwrap_or_else(|reason| panic!("{spec:?}, {reason}"));
        assert!(compare::compare(found, other, &tolerance).is_err(), "{spec:?}: the other estimator passes too");
    }
}

/// Recording moves nothing; what moves, moves in the order of submission, and what is never submitted does not.
#[test]
fn statistics_move_in_queue_order() {
    let spec = NormSpec::from(BatchNorm::new(6).momentum(0.5));
    for (name, gpu) in adapters::all() {
        let norm = GpuNorm::new(gpu, spec.clone()).unwrap();
        let tensors = [batch(0), batch(1), batch(2)].map(|x| Tensor::from_array(gpu, &x).unwrap());
        let outputs = tensors.clone().map(|x| Tensor::zeros(gpu, x.shape(), DType::F32).unwrap());
        let fresh = norm.state_dict("").unwrap();
        let [first, second, dropped] = [0, 1, 2].map(|n| {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            norm.encode_forward(&mut encoder, &tensors[n], &outputs[n]).unwrap();
            encoder.finish()
        });
        assert_eq!(norm.state_dict("").unwrap(), fresh, "{name}: recording moves nothing");
        assert!(outputs[0].to_array().unwrap().iter().all(|&y| y == 0.0), "{name}: recording writes nothing");
        gpu.queue().submit([second, first]);
        drop(dropped);

        let alike = |order: [usize; 2]| {
            let other = GpuNorm::new(gpu, spec.clone()).unwrap();
            let ys = order.map(|n| other.forward_tensor(&tensors[n]).unwrap().to_array().unwrap());
            (ys, other.state_dict("").unwrap())
        };
        let ([y1, y0], expected) = alike([1, 0]);
        let state = norm.state_dict("").unwrap();
        assert_eq!(state, expected, "{name}");
        assert_ne!(state, alike([0, 1]).1, "{name}: an order that cannot be told");
        assert_eq!((outputs[0].to_array().unwrap(), outputs[1].to_array().unwrap()), (y0, y1), "{name}");
    }
}

/// Two layers, one of them twice, in one encoder: each sees what the one before it wrote.
#[test]
fn layers_of_one_encoder_run_in_order() {
    for (name, gpu) in adapters::all() {
        let batch_norm = || GpuNorm::new(gpu, BatchNorm::new(6).momentum(0.5)).unwrap();
        let mixed = || GpuNorm::new(gpu, SwitchableNorm::new(6).weighting(Weighting::Plain)).unwrap();
        let x = Tensor::from_array(gpu, &batch(1)).unwrap();
        let tensors: Vec<_> = (0..3).map(|_| Tensor::zeros(gpu, x.shape(), DType::F32).unwrap()).collect();
        let (one, two) = (batch_norm(), mixed());
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        one.encode_forward(&mut encoder, &x, &tensors[0]).unwrap();
        two.encode_forward(&mut encoder, &tensors[0], &tensors[1]).unwrap();
        one.encode_forward(&mut encoder, &tensors[1], &tensors[2]).unwrap();
        gpu.queue().submit([encoder.finish()]);

        let (first, second) = (batch_norm(), mixed());
        let y = first.forward_tensor(&x).unwrap();
        let z = first.forward_tensor(&second.forward_tensor(&y).unwrap()).unwrap();
        assert_eq!(tensors[2].to_array().unwrap(), z.to_array().unwrap(), "{name}");
        assert_eq!(one.state_dict("").unwrap(), first.state_dict("").unwrap(), "{name}");
        assert_eq!(two.state_dict("").unwrap(), second.state_dict("").unwrap(), "{name}");
        assert_eq!((count(&one), count(&two)), (2.0, 1.0), "{name}");
    }
}

#[test]
fn evaluation_moves_nothing() {
    for spec in every_spec() {
        let mut norm = layer(&spec, &data::state(&spec));
        let before = norm.state_dict("").unwrap();
        norm.eval();
        norm.forward(&data::values("normal", &SHAPE, 1)).unwrap();
        assert_eq!(norm.state_dict("").unwrap(), before, "{spec:?}");
        assert_eq!(norm.mode(), Mode::Evaluation);
    }
}

#[test]
fn an_empty_batch_counts_and_moves_nothing() {
    for (name, gpu) in adapters::all() {
        for (spec, counts) in [
            (NormSpec::from(BatchNorm::new(6)), true),
            (SwitchableNorm::new(6).into(), true),
            (InstanceNorm::new(6).track_running_stats(true).into(), false),
        ] {
            let mut norm = GpuNorm::new(gpu, spec.clone()).unwrap();
            let mut state = compare::state_dict(&data::state(&spec));
            norm.load_state_dict(&state, "").unwrap();
            for (calls, shape) in [&[0, 6, 5][..], &[3, 6, 0]].into_iter().enumerate() {
                let y = norm.forward(&ArrayD::zeros(shape)).unwrap();
                assert_eq!(y.shape(), shape);
                let tracked = if counts { calls as f32 + 1.0 } else { 0.0 };
                state.insert("num_batches_tracked", ArrayD::from_elem(IxDyn(&[]), tracked));
                assert_eq!(norm.state_dict("").unwrap(), state, "{name}, {spec:?}, {shape:?}");
            }
            norm.eval();
            norm.forward(&ArrayD::zeros(vec![0, 6, 5])).unwrap();
            assert_eq!(norm.state_dict("").unwrap(), state, "{name}, {spec:?}, evaluation");
        }
    }
}

#[test]
fn reset_restores_what_a_new_layer_has() {
    for spec in every_spec() {
        let fresh = compare::state_dict(&State::new(&spec).unwrap());
        assert_eq!(GpuNorm::new(adapters::first(), spec.clone()).unwrap().state_dict("").unwrap(), fresh, "{spec:?}");
        let mut norm = layer(&spec, &data::state(&spec));
        norm.forward(&batch(0)).unwrap();
        let moved = norm.state_dict("").unwrap();
        norm.reset_running_stats();
        for (key, value) in norm.state_dict("").unwrap().iter() {
            let running = ["running_mean", "running_var", "num_batches_tracked"].contains(&key);
            assert_eq!(value, (if running { &fresh } else { &moved }).get(key).unwrap(), "{spec:?}, {key}");
        }
        norm.reset_parameters();
        assert_eq!(norm.state_dict("").unwrap(), fresh, "{spec:?}");
    }
}

// ---- saved and loaded

#[test]
fn state_dicts_come_back_through_bytes_and_files() {
    for (index, spec) in every_spec().into_iter().enumerate() {
        let mut given = data::state(&spec);
        given.num_batches_tracked = given.num_batches_tracked.map(|_| 7);
        let norm = layer(&spec, &given);
        let saved = norm.state_dict("").unwrap();
        assert_eq!(saved, compare::state_dict(&given), "{spec:?}");
        assert_eq!(StateDict::from_safetensors(&saved.to_safetensors().unwrap()).unwrap(), saved, "{spec:?}");

        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("state_{}_{index}.safetensors", std::process::id()));
        norm.state_dict("deep.er.").unwrap().save(&path).unwrap();
        let mut other = GpuNorm::new(adapters::first(), spec.clone()).unwrap();
        other.load_state_dict(&StateDict::load(&path).unwrap(), "deep.er.").unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(other.state_dict("").unwrap(), saved, "{spec:?}");
        let x = batch(0);
        assert_eq!(other.forward(&x).unwrap(), norm.forward(&x).unwrap(), "{spec:?}");
    }
}

/// Keys, shapes and element types are those of torch's own files.
#[test]
fn files_have_torchs_keys_and_types() {
    let norm = GpuNorm::new(adapters::first(), BatchNorm::new(6)).unwrap();
    norm.forward(&batch(0)).unwrap();
    let bytes = norm.state_dict("bn1.").unwrap().to_safetensors().unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut found: Vec<_> = file.iter().map(|(key, view)| (key, view.dtype(), view.shape().to_vec())).collect();
    found.sort_by_key(|(key, ..)| key.to_owned());
    let expected = [
        ("bn1.bias", Dtype::F32, vec![6]),
        ("bn1.num_batches_tracked", Dtype::I64, vec![]),
        ("bn1.running_mean", Dtype::F32, vec![6]),
        ("bn1.running_var", Dtype::F32, vec![6]),
        ("bn1.weight", Dtype::F32, vec![6]),
    ];
    assert_eq!(found, expected);
    assert_eq!(file.tensor("bn1.num_batches_tracked").unwrap().data(), 1i64.to_le_bytes());
}

#[test]
fn other_element_types_become_f32() {
    let halves: Vec<u8> = [0.5f32, -2.0, 1.0 / 3.0].iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
    let brains: Vec<u8> = [0.5f32, -2.0, 1.0 / 3.0].iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect();
    let doubles: Vec<u8> = [0.5f64, -2.0, 1.0 / 3.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let whole: Vec<u8> = [3i64, -1, 1 << 24].iter().flat_map(|v| v.to_le_bytes()).collect();
    let view = |dtype, data| TensorView::new(dtype, vec![3], data).unwrap();
    let views = [
        ("f16", view(Dtype::F16, &halves)),
        ("bf16", view(Dtype::BF16, &brains)),
        ("f64", view(Dtype::F64, &doubles)),
        ("i64", view(Dtype::I64, &whole)),
    ];
    let state = StateDict::from_safetensors(&safetensors::serialize(views, None).unwrap()).unwrap();
    let third = [f16::from_f32(1.0 / 3.0).to_f32(), bf16::from_f32(1.0 / 3.0).to_f32(), 1.0 / 3.0];
    for (key, third) in ["f16", "bf16", "f64"].into_iter().zip(third) {
        assert_eq!(state.get(key), Some(&arr1(&[0.5, -2.0, third]).into_dyn()), "{key}");
    }
    assert_eq!(state.get("i64"), Some(&arr1(&[3.0, -1.0, 16_777_216.0]).into_dyn()));
    let views = [("w", TensorView::new(Dtype::U8, vec![1], &[1]).unwrap())];
    let refused = StateDict::from_safetensors(&safetensors::serialize(views, None).unwrap()).unwrap_err();
    assert_eq!(refused.to_string(), "safetensors: w has elements of type U8");
}

#[test]
fn what_is_not_a_state_dict_file_is_refused() {
    let good =
        GpuNorm::new(adapters::first(), LayerNorm::new([3])).unwrap().state_dict("").unwrap().to_safetensors().unwrap();
    let cut = [&good[..good.len() - 1], &good[..9], &good[..3], b"", b"a pickle, perhaps", &[255; 64]];
    for bytes in cut {
        let refused = StateDict::from_safetensors(bytes);
        assert!(matches!(refused, Err(Error::Safetensors { .. })), "{} bytes: {refused:?}", bytes.len());
    }
    let nowhere = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no such folder/state.safetensors");
    let told = format!("{}: No such file or directory (os error 2)", nowhere.display());
    for refused in [StateDict::load(&nowhere).map(drop), StateDict::new().save(&nowhere)] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, Error::File { .. }));
        assert!(cfg!(not(target_os = "linux")) || refused.to_string() == told, "{refused}");
    }
}

#[test]
fn a_state_dict_that_does_not_fit_loads_nothing() {
    let spec = NormSpec::from(SwitchableNorm::new(6));
    let before = data::state(&spec);
    let mut norm = layer(&spec, &before);
    let before = compare::state_dict(&before);
    let other = {
        let mut other = StateDict::new();
        for (key, value) in before.iter() {
            other.insert(format!("sn.{key}"), value.mapv(|value| value + 1.0));
        }
        other
    };
    let array = |shape: &[usize], value: f32| ArrayD::from_elem(IxDyn(shape), value);
    let mut refuse = |key: &str, value: Option<ArrayD<f32>>, told: &str| {
        let mut bad = other.clone();
        match value {
            Some(value) => bad.insert(key, value),
            None => bad.remove(key),
        };
        assert_eq!(norm.load_state_dict(&bad, "sn.").unwrap_err().to_string(), told);
        assert_eq!(norm.state_dict("").unwrap(), before, "{told}");
    };
    for key in ["weight", "bias", "mean_weight", "var_weight", "running_mean", "running_var"] {
        let key = format!("sn.{key}");
        let size = other.get(&key).unwrap().len();
        refuse(&key, None, &format!("missing key in state dict: \"{key}\""));
        for shape in [&[7][..], &[2, 6], &[0], &[6, 6], &[6, 0]] {
            let told = format!("size mismatch for \"{key}\": expected shape [{size}], got {shape:?}");
            refuse(&key, Some(array(shape, 1.0)), &told);
        }
    }
    let counter = "sn.num_batches_tracked";
    refuse(counter, Some(array(&[6], 1.0)), "size mismatch for \"sn.num_batches_tracked\": expected shape [], got [6]");
    for (value, text) in
        [(1.5, "1.5"), (-1.0, "-1"), (f32::NAN, "NaN"), (f32::INFINITY, "inf"), (4294967296.0, "4294967296")]
    {
        let told = format!("\"sn.num_batches_tracked\" must be a whole number from 0 to 4294967295, got {text}");
        refuse(counter, Some(array(&[], value)), &told);
    }
    refuse("sn.gamma", Some(array(&[6], 1.0)), "unexpected keys in state dict: \"sn.gamma\"");
    refuse("sn.conv.weight", Some(array(&[6], 1.0)), "unexpected keys in state dict: \"sn.conv.weight\"");

    // Keys of other layers are none of this one's business.
    let mut whole = other.clone();
    whole.insert("sn2.weight", array(&[9], 1.0));
    whole.insert("head", array(&[9], 1.0));
    norm.load_state_dict(&whole, "sn.").unwrap();
    assert_eq!(norm.state_dict("sn.").unwrap(), other);
    let refused = norm.load_state_dict(&whole, "absent.").unwrap_err();
    assert_eq!(refused.to_string(), "missing key in state dict: \"absent.weight\"");
    let refused = GpuNorm::new(adapters::first(), RmsNorm::new([6]).affine(false))
        .unwrap()
        .load_state_dict(&whole, "")
        .unwrap_err();
    assert!(refused.to_string().starts_with("unexpected keys in state dict: \"head\", \"sn.bias\", "), "{refused}");
}

#[test]
fn only_the_counter_may_be_missing_and_is_kept() {
    let spec = NormSpec::from(BatchNorm::new(6));
    let mut norm = GpuNorm::new(adapters::first(), spec.clone()).unwrap();
    (0..3).for_each(|n| drop(norm.forward(&batch(n)).unwrap()));
    let mut state = compare::state_dict(&data::state(&spec));
    state.remove("num_batches_tracked");
    norm.load_state_dict(&state, "").unwrap();
    assert_eq!(count(&norm), 3.0);
    norm.forward(&batch(3)).unwrap();
    assert_eq!(count(&norm), 4.0);
}

/// The authors' checkpoints of switchable norm have extra dimensions of 1 and no counter; other norms have one shape.
#[test]
fn switchable_norm_takes_its_authors_shapes() {
    let spec = NormSpec::from(SwitchableNorm::new(6));
    let given = compare::state_dict(&data::state(&spec));
    let mut state = StateDict::new();
    for (key, shape) in [
        ("weight", &[1, 6, 1, 1][..]),
        ("bias", &[1, 6, 1, 1]),
        ("running_mean", &[1, 6, 1]),
        ("running_var", &[1, 6, 1]),
        ("mean_weight", &[3]),
        ("var_weight", &[3]),
    ] {
        state.insert(key, given.get(key).unwrap().clone().into_shape_with_order(shape).unwrap());
    }
    let mut norm = GpuNorm::new(adapters::first(), spec).unwrap();
    norm.load_state_dict(&state, "").unwrap();
    assert_eq!(norm.state_dict("").unwrap(), given);

    let mut batch_norm = GpuNorm::new(adapters::first(), BatchNorm::new(6)).unwrap();
    state.remove("mean_weight");
    state.remove("var_weight");
    let refused = batch_norm.load_state_dict(&state, "").unwrap_err().to_string();
    assert_eq!(refused, "size mismatch for \"weight\": expected shape [6], got [1, 6, 1, 1]");
}
