//! Threads and repetition: layers are shared freely, and the same input gives the same bits.

use std::sync::Barrier;
use std::thread;

use gpunorm::unstable::{Caps, Route, Strategy, Team};
use gpunorm::{Activation, BatchNorm, DType, Error, Gpu, GpuNorm, GroupNorm, NormSpec, SwitchableNorm, Tensor};
use ndarray::ArrayD;

use super::variants::VARYING;
use super::{adapters, compare, data, devices};

const THREADS: usize = 8;

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<GpuNorm>();
    shared::<Gpu>();
    shared::<Tensor>();
    shared::<Error>();
    shared::<gpunorm::StateDict>();
    shared::<gpunorm::Saved>();
    shared::<gpunorm::Gradients>();
    shared::<gpunorm::Call>();
};

fn bits(array: &ArrayD<f32>) -> Vec<u32> {
    array.iter().map(|value| value.to_bits()).collect()
}

/// Runs `work` on all threads at once, by number.
fn at_once<T: Send>(work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(THREADS);
    thread::scope(|scope| {
        let (barrier, work) = (&barrier, &work);
        let started = (0..THREADS).map(|thread| {
            scope.spawn(move || {
                barrier.wait();
                work(thread)
            })
        });
        let threads: Vec<_> = started.collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// A batch of its own for every thread.
fn batch(thread: usize) -> ArrayD<f32> {
    data::values("normal", &[4, 3, 5 + thread], 1) + thread as f32
}

#[test]
fn threads_share_one_layer_in_training() {
    const CALLS: usize = 6;
    for (name, gpu) in adapters::all() {
        let norm = GpuNorm::new(gpu, BatchNorm::new(3).cumulative_average()).unwrap();
        let outputs = at_once(|thread| {
            let x = batch(thread);
            let ys = (0..CALLS).map(|call| match call % 2 {
                0 => norm.forward(&x).unwrap(),
                _ => norm.forward_tensor(&Tensor::from_array(gpu, &x).unwrap()).unwrap().to_array().unwrap(),
            });
            ys.collect::<Vec<_>>()
        });

        let mut means = vec![];
        for (thread, ys) in outputs.iter().enumerate() {
            let alone = GpuNorm::new(gpu, BatchNorm::new(3).momentum(1.0)).unwrap();
            let expected = alone.forward(&batch(thread)).unwrap();
            for y in ys {
                assert_eq!(bits(y), bits(&expected), "{name}, thread {thread}");
            }
            means.push(alone.state_dict("").unwrap());
        }
        let state = norm.state_dict("").unwrap();
        assert_eq!(state.get("num_batches_tracked").unwrap()[[]], (THREADS * CALLS) as f32, "{name}");
        // The average over all calls does not depend on their order, but for its rounding: one per call.
        for key in ["running_mean", "running_var"] {
            let sum =
                means.iter().fold(ArrayD::zeros(vec![3]), |sum, state| sum + state.get(key).unwrap().mapv(f64::from));
            let tolerance = ArrayD::from_elem(vec![3], 4.0 * (THREADS * CALLS) as f64 * 2f64.powi(-24) * 8.0);
            compare::compare(state.get(key).unwrap(), &(sum / THREADS as f64), &tolerance)
                .unwrap_or_else(|reason| panic!("{name}, {key}, {reason}"));
        }
    }
}

/// Each call takes along what is its own.
#[test]
fn threads_share_one_layer_with_neighbours() {
    for (name, gpu) in adapters::all() {
        let norm = GpuNorm::new(gpu, GroupNorm::new(2, 6).activation(Activation::Silu)).unwrap();
        let run = |norm: &GpuNorm, thread: usize| {
            let tensor = |name, shape: &[usize]| {
                Tensor::from_array(gpu, &(data::values(name, shape, 1) + thread as f32 / 8.0)).unwrap()
            };
            let shape = [3, 6, 4 + thread % 3, 6];
            let [x, c] = ["normal", "uniform"].map(|name| tensor(name, &shape));
            let [a, scale, shift] = ["normal", "uniform", "normal"].map(|name| tensor(name, &shape[..2]));
            let call = norm.call().add_before(&a).modulate(&scale, &shift).add_after(&c);
            let (y, saved) = call.forward_saved(&x).unwrap();
            let gradients = norm.backward(&y, &saved).unwrap();
            let found = gradients.named().into_iter().filter_map(|(_, gradient)| gradient);
            [&y].into_iter().chain(found).map(|tensor| bits(&tensor.to_array().unwrap())).collect::<Vec<_>>()
        };
        for (thread, found) in at_once(|thread| run(&norm, thread)).into_iter().enumerate() {
            let alone = GpuNorm::new(gpu, norm.spec().clone()).unwrap();
            assert_eq!(found.len(), 8, "y, and gradients of the input, two parameters and four neighbours");
            assert!(found == run(&alone, thread), "{name}, thread {thread}");
        }
    }
}

/// A state dict that is read while other threads train is the state between two forwards, not parts of several: with a
/// momentum of 1/2 and batches of mean 1 the running mean after `n` batches is `1 − 2⁻ⁿ`.
#[test]
fn a_state_dict_is_read_between_two_forwards() {
    const CALLS: usize = 3;
    for (name, gpu) in adapters::all() {
        for round in 0..8 {
            let norm = GpuNorm::new(gpu, BatchNorm::new(2).momentum(0.5)).unwrap();
            let x = ndarray::arr2(&[[0.0, 2.0], [2.0, 0.0]]).into_dyn();
            at_once(|thread| {
                if thread == 0 {
                    for _ in 0..2 * CALLS {
                        let state = norm.state_dict("").unwrap();
                        let count = state.get("num_batches_tracked").unwrap()[[]];
                        let mean = state.get("running_mean").unwrap()[[0]];
                        assert_eq!(mean, 1.0 - (-count).exp2(), "{name}, round {round}, after {count} batches");
                    }
                } else {
                    let x = Tensor::from_array(gpu, &x).unwrap();
                    (0..CALLS).for_each(|_| drop(norm.forward_tensor(&x).unwrap()));
                }
            });
            let count = norm.state_dict("").unwrap().get("num_batches_tracked").unwrap()[[]];
            assert_eq!(count, ((THREADS - 1) * CALLS) as f32, "{name}");
        }
    }
}

/// On a device that has compiled nothing yet: all threads ask for the same kernels, then each for others.
#[test]
fn threads_race_to_compile() {
    for (name, adapter) in devices::adapters() {
        let gpu = pollster::block_on(Gpu::from_adapter(adapter)).unwrap();
        let x = data::values("normal", &[4, 6, 40], 1);
        let run = |spec: NormSpec| GpuNorm::new(&gpu, spec).unwrap().forward(&x).unwrap();
        let same = at_once(|_| run(SwitchableNorm::new(6).into()));
        // By pipelines of its own.
        let alone = pollster::block_on(Gpu::from_adapter(adapter)).unwrap();
        let expected = GpuNorm::new(&alone, SwitchableNorm::new(6)).unwrap().forward(&x).unwrap();
        same.iter().for_each(|y| assert!(bits(y) == bits(&expected), "{name}"));

        let specs: Vec<NormSpec> =
            data::channel_specs(6).into_iter().chain(data::trailing_specs(x.shape(), 1)).collect();
        let chosen = |thread: usize| specs[(thread * 5) % specs.len()].clone();
        let different = at_once(|thread| run(chosen(thread)));
        for (thread, y) in different.iter().enumerate() {
            assert_eq!(bits(y), bits(&run(chosen(thread))), "{name}, {:?}", chosen(thread));
        }
    }
}

/// Every route and team that plans, on every adapter: twice the same bits, outputs and running statistics.
#[test]
fn the_same_input_gives_the_same_bits() {
    let mut strategies = vec![Strategy::default()];
    for team in Team::ALL {
        strategies.extend([Route::Fused, Route::Split].map(|route| Strategy {
            route: Some(route),
            team: Some(team),
            lanes: None,
        }));
    }
    let shape = [5, 6, 19, 21];
    let mut runs = 0;
    for (name, gpu) in adapters::all() {
        let x = data::values("mean 1e2", &shape, 1);
        let hardware = gpu.with_caps(Caps { software: false, ..*gpu.caps() });
        let varying = hardware.with_caps(Caps { subgroup: Some(VARYING), ..*hardware.caps() });
        let as_chosen = (&varying, Strategy::default());
        let every = strategies.iter().flat_map(|&strategy| [(gpu, strategy), (&hardware, strategy)]);
        for (gpu, strategy) in every.chain([as_chosen]) {
            for (index, spec) in data::channel_specs(6).into_iter().chain(data::trailing_specs(&shape, 2)).enumerate() {
                let dtype = [DType::F32, DType::F16, DType::BF16][index % 3];
                let run = || -> Result<_, Error> {
                    let mut norm = GpuNorm::new(gpu, spec.clone())?;
                    norm.load_state_dict(&compare::state_dict(&data::state(&spec)), "")?;
                    norm.set_strategy(strategy);
                    let x = Tensor::from_array_as(gpu, &x, dtype)?;
                    let of_samples = Tensor::from_array(
                        gpu,
                        &data::values("uniform", &[&shape[..1], &spec.parameter_shape()].concat(), 1),
                    )?;
                    // Every other layer with what can stand beside it.
                    let call = norm.call();
                    let call =
                        if index % 2 == 0 { call } else { call.add_after(&x).modulate(&of_samples, &of_samples) };
                    let (y, saved) = call.forward_saved(&x)?;
                    let gradients = norm.backward(&y, &saved)?;
                    let mut found = vec![("y".to_owned(), bits(&y.to_array()?))];
                    for (of, gradient) in gradients.named() {
                        found.extend(
                            gradient
                                .map(|tensor| tensor.to_array().map(|array| (of.to_owned(), bits(&array))))
                                .transpose()?,
                        );
                    }
                    let state = norm.state_dict("")?;
                    found.extend(state.iter().map(|(key, value)| (key.to_owned(), bits(value.array().unwrap()))));
                    Ok(found)
                };
                let first = match run() {
                    Err(Error::Strategy { .. } | Error::TooLarge { unit: "storage buffers", .. }) => continue,
                    first => first.unwrap(),
                };
                runs += 1;
                for _ in 0..2 {
                    assert_eq!(run().unwrap(), first, "{name}, {spec:?}, {strategy:?}, {dtype}");
                }
            }
        }
    }
    assert!(runs > 130 * adapters::count(), "only {runs} runs");
}
