//! Running statistics: when they move, in which order and where to.

use gpunorm::reference::{self, State};
use gpunorm::{BatchNorm, DType, GpuNorm, InstanceNorm, Mode, NormSpec, SwitchableNorm, Tensor, Weighting};
use ndarray::{ArrayD, Axis, IxDyn, arr1};

use super::{adapters, compare, data};

const SHAPE: [usize; 3] = [4, 6, 5];

/// A layer in this state.
pub fn layer(spec: &NormSpec, state: &State) -> GpuNorm {
    let mut norm = GpuNorm::new(adapters::first(), spec.clone()).unwrap();
    norm.load_state_dict(&compare::state_dict(state), "").unwrap();
    norm
}

/// The batches that a layer has counted.
pub fn count(norm: &GpuNorm) -> f32 {
    norm.state_dict("").unwrap().get("num_batches_tracked").expect("a layer that tracks")[[]]
}

/// The `n`th batch, each with its own mean and spread.
pub fn batch(n: usize) -> ArrayD<f32> {
    data::values("normal", &[SHAPE[0] + n, SHAPE[1], SHAPE[2]], 1) * (1.0 + n as f32) + 0.5 * n as f32
}

/// Every norm with its options, for inputs like [`batch`].
pub fn every_spec() -> Vec<NormSpec> {
    data::channel_specs(SHAPE[1]).into_iter().chain(data::trailing_specs(&SHAPE, 1)).collect()
}

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
        norm.reset_running_stats().unwrap();
        for (key, value) in norm.state_dict("").unwrap().iter() {
            let running = ["running_mean", "running_var", "num_batches_tracked"].contains(&key);
            assert_eq!(Some(value), (if running { &fresh } else { &moved }).value(key), "{spec:?}, {key}");
        }
        norm.reset_parameters().unwrap();
        assert_eq!(norm.state_dict("").unwrap(), fresh, "{spec:?}");
    }
}

/// One array that cannot be written, here since the app has destroyed its buffer, and none is.
#[test]
fn loading_and_resetting_write_all_or_nothing() {
    for (name, gpu) in adapters::all() {
        let spec = NormSpec::from(BatchNorm::new(6));
        let mut norm = GpuNorm::new(gpu, spec.clone()).unwrap();
        norm.load_state_dict(&compare::state_dict(&data::state(&spec)), "").unwrap();
        let bias = Tensor::zeros(gpu, &[6], DType::F32).unwrap();
        norm.set_bias(&bias).unwrap();
        bias.buffer().destroy();
        let arrays = |norm: &GpuNorm| {
            let live = [norm.weight(), norm.running_mean(), norm.running_var()];
            live.map(|tensor| tensor.unwrap().to_array().unwrap())
        };
        let before = arrays(&norm);
        let zeros = compare::state_dict(&State::new(&spec).unwrap());
        let calls = [
            ("loading a state dict", norm.load_state_dict(&zeros, "")),
            ("resetting a layer", norm.reset_parameters()),
        ];
        assert_eq!(arrays(&norm), before, "{name}");
        for (during, call) in calls {
            let told = call.unwrap_err().to_string();
            assert!(told.contains("has been destroyed") && told.contains(during), "{name}: {told}");
        }
        norm.set_bias(&Tensor::zeros(gpu, &[6], DType::F32).unwrap()).unwrap();
        norm.load_state_dict(&zeros, "").unwrap();
        assert_eq!(norm.state_dict("").unwrap(), zeros, "{name}");
    }
}

/// Parameters may lie in buffers of the app's, between its other things.
#[test]
fn loading_writes_where_the_parameters_are() {
    for (name, gpu) in adapters::all() {
        let spec = NormSpec::from(BatchNorm::new(6));
        let mut norm = GpuNorm::new(gpu, spec.clone()).unwrap();
        let both = Tensor::from_array(gpu, &ArrayD::from_elem(vec![256], 9.0)).unwrap();
        let part = |offset| Tensor::wrap(gpu, both.buffer().clone(), offset, &[6], DType::F32).unwrap();
        norm.set_weight(&part(256)).unwrap();
        norm.set_bias(&part(512)).unwrap();
        let state = compare::state_dict(&data::state(&spec));
        norm.load_state_dict(&state, "").unwrap();
        assert_eq!(norm.state_dict("").unwrap(), state, "{name}");
        let mut expected = ArrayD::from_elem(vec![256], 9.0);
        for (key, begin) in [("weight", 64), ("bias", 128)] {
            expected.slice_mut(ndarray::s![begin..begin + 6]).assign(state.get(key).unwrap());
        }
        assert_eq!(both.to_array().unwrap(), expected, "{name}");
    }
}

/// As far as it goes: beyond, an average would divide by zero.
#[test]
fn the_count_of_batches_stays_at_its_most() {
    let x = ArrayD::from_shape_fn(vec![4, 6, 5], |at| (at[0] + at[2]) as f32);
    for spec in
        [NormSpec::from(BatchNorm::new(6).cumulative_average()), SwitchableNorm::new(6).cumulative_average().into()]
    {
        for (name, gpu) in adapters::all() {
            let mut norm = GpuNorm::new(gpu, spec.clone()).unwrap();
            norm.set_num_batches_tracked(u32::MAX - 1).unwrap();
            for _ in 0..2 {
                norm.forward(&x).unwrap();
                assert_eq!(norm.num_batches_tracked().unwrap(), Some(u32::MAX), "{name}, {spec:?}");
                let means = norm.running_mean().unwrap().to_array().unwrap();
                assert!(means.iter().all(|mean| mean.abs() < 1e-6), "{name}, {spec:?}: {means}");
            }
        }
    }
}
