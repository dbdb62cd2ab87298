//! State dicts: torch's names, types and strictness, through memory, bytes and files.

use std::path::PathBuf;

use gpunorm::{BatchNorm, Error, GpuNorm, LayerNorm, NormSpec, RmsNorm, StateDict, SwitchableNorm};
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn, arr1};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::state::{batch, count, every_spec, layer};
use super::{adapters, compare, data};

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
