//! State dicts: torch's names, types and strictness, through memory, bytes and files.

use std::error::Error as _;
use std::path::PathBuf;

use gpunorm::{BatchNorm, DType, Error, GpuNorm, LayerNorm, NormSpec, RmsNorm, StateDict, SwitchableNorm};
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
}

/// Masks and positions lie in checkpoints too: they are nobody's business but their own layer's.
#[test]
fn other_types_stay_as_they_came() {
    let halves: Vec<u8> = (0..6u16).flat_map(|bits| (bits | 0x3c00).to_le_bytes()).collect();
    let views = [
        ("ln.weight", TensorView::new(Dtype::F16, vec![3], &halves[..6]).unwrap()),
        ("ln.bias", TensorView::new(Dtype::BF16, vec![3], &halves[6..]).unwrap()),
        ("mask", TensorView::new(Dtype::BOOL, vec![2, 2], &[1, 0, 0, 1]).unwrap()),
    ];
    let bytes = safetensors::serialize(views, None).unwrap();
    let state = StateDict::from_safetensors(&bytes).unwrap();
    let types = ["ln.weight", "ln.bias", "mask"].map(|key| state.value(key).unwrap().dtype());
    assert_eq!(types, [Some(DType::F16), Some(DType::BF16), None]);
    assert!(state.get("mask").is_none() && state.get("ln.bias").is_some());
    let mut norm = GpuNorm::new(adapters::first(), LayerNorm::new([3])).unwrap();
    norm.load_state_dict(&state, "ln").unwrap();
    assert_eq!(norm.state_dict("ln").unwrap().get("ln.weight"), state.get("ln.weight"));
    // What is written is what came, but for what was asked to be of another type.
    assert_eq!(state.to_safetensors().unwrap(), bytes);
    let wide = StateDict::from_safetensors(&state.to_dtype(DType::F32).to_safetensors().unwrap()).unwrap();
    let types = ["ln.weight", "ln.bias", "mask"].map(|key| wide.value(key).unwrap().dtype());
    assert_eq!((types, &wide), ([Some(DType::F32), Some(DType::F32), None], &state));
    let narrow = norm.state_dict("").unwrap().to_dtype(DType::BF16);
    let back = StateDict::from_safetensors(&narrow.to_safetensors().unwrap()).unwrap();
    assert_eq!((back.value("bias").unwrap().dtype(), back.get("bias")), (Some(DType::BF16), state.get("ln.bias")));

    let mut masked = norm.state_dict("").unwrap();
    masked.insert("weight", state.value("mask").unwrap().clone());
    let told = "\"weight\": expected elements of type f32, f16, bf16, f64 or i64, got BOOL";
    assert_eq!(norm.load_state_dict(&masked, "").unwrap_err().to_string(), told);
}

#[test]
fn state_dicts_are_collections() {
    let array = |value: f32| arr1(&[value]).into_dyn();
    let mut state: StateDict = [("a.weight", array(1.0)), ("b.weight", array(2.0))].into_iter().collect();
    state.extend([("b.weight", array(3.0))]);
    let other: StateDict = state.clone().into_iter().map(|(key, value)| (format!("net.{key}"), value)).collect();
    state.extend(other);
    let keys: Vec<_> = state.iter().map(|(key, value)| (key, value.array().unwrap()[[0]])).collect();
    assert_eq!(keys, [("a.weight", 1.0), ("b.weight", 3.0), ("net.a.weight", 1.0), ("net.b.weight", 3.0)]);
}

/// A module's name with its dot and without; files of several parts with their index.
#[test]
fn modules_are_loaded_from_whole_and_sharded_files() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("shards_{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let module = |name: &str, value: f32| -> StateDict {
        ["weight", "bias"]
            .map(|key| (format!("{name}.{key}"), ArrayD::from_elem(IxDyn(&[3]), value)))
            .into_iter()
            .collect()
    };
    let (first, second, third) = (module("layers.1", 1.0), module("layers.10", 10.0), module("norm", 2.0));
    let mut begun = first.clone();
    let split = begun.remove("layers.1.bias").unwrap();
    let mut rest: StateDict = second.into_iter().chain(third).collect();
    rest.insert("layers.1.bias", split);
    let index: Vec<String> = [("one", &begun), ("two", &rest)]
        .into_iter()
        .flat_map(|(file, state)| state.iter().map(move |(key, _)| format!("\"{key}\": \"{file}.safetensors\"")))
        .collect();
    begun.save(folder.join("one.safetensors")).unwrap();
    rest.save(folder.join("two.safetensors")).unwrap();
    let write_index = |entries: String| {
        let path = folder.join("model.safetensors.index.json");
        std::fs::write(&path, format!("{{\"metadata\": {{}}, \"weight_map\": {{{entries}}}}}")).unwrap();
        path
    };
    let path = write_index(index.join(", "));
    let whole: StateDict = begun.into_iter().chain(rest).collect();
    assert_eq!(StateDict::load(&path).unwrap(), whole);
    let file = folder.join("whole.safetensors");
    whole.save(&file).unwrap();
    for path in [&path, &file] {
        for prefix in ["layers.1", "layers.1."] {
            let loaded = StateDict::load_module(path, prefix).unwrap();
            assert_eq!(loaded, first, "{prefix} of {}", path.display());
            let mut norm = GpuNorm::new(adapters::first(), LayerNorm::new([3])).unwrap();
            norm.load_state_dict(&loaded, prefix).unwrap();
            norm.load_state_dict(&whole, prefix).unwrap();
            assert_eq!(norm.state_dict(prefix).unwrap(), first);
        }
    }
    let refused = |entries: &str| StateDict::load(write_index(entries.to_owned())).unwrap_err().to_string();
    let index = folder.join("model.safetensors.index.json");
    let told = format!(
        "safetensors: {}: the index names the file \"../one.safetensors\", which is not beside it",
        index.display()
    );
    assert_eq!(refused("\"a\": \"../one.safetensors\""), told);
    let told = format!("safetensors: {}: the index promises a, which is in none of its files", index.display());
    assert_eq!(refused("\"a\": \"one.safetensors\""), told);
    let told = format!("safetensors: {}: weight_map: invalid type", index.display());
    assert!(refused("\"a\": 3").starts_with(&told), "{}", refused("\"a\": 3"));
    // Of several files the one that is damaged.
    let damaged = folder.join("damaged.safetensors");
    std::fs::write(&damaged, b"short").unwrap();
    let told = format!("safetensors: {}: the file is too short for a header", damaged.display());
    assert_eq!(refused("\"a\": \"damaged.safetensors\""), told);
    let directory = StateDict::load(&folder).unwrap_err();
    assert!(matches!(directory, Error::File { .. }), "{directory}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_is_not_a_state_dict_file_is_refused() {
    let good =
        GpuNorm::new(adapters::first(), LayerNorm::new([3])).unwrap().state_dict("").unwrap().to_safetensors().unwrap();
    let cut = [&good[..good.len() - 1], &good[..9], &good[..3], b"", b"a pickle, perhaps", &[255; 64]];
    for bytes in cut {
        let refused = StateDict::from_safetensors(bytes);
        let Err(Error::Safetensors { source, .. }) = &refused else { panic!("{} bytes: {refused:?}", bytes.len()) };
        assert!(source.is::<safetensors::SafeTensorError>(), "{source:?}");
    }
    let nowhere = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no such folder/state.safetensors");
    let told = format!("{}: No such file or directory (os error 2)", nowhere.display());
    for refused in [StateDict::load(&nowhere).map(drop), StateDict::new().save(&nowhere)] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, Error::File { .. }));
        let cause = refused.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
        assert_eq!(cause.map(std::io::Error::kind), Some(std::io::ErrorKind::NotFound));
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
            other.insert(format!("sn.{key}"), value.array().unwrap().mapv(|value| value + 1.0));
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
