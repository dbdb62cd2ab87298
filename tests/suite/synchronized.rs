//! Layers whose batch several processes share, here threads of this one: equal to the whole batch in one process, alike on all to the
//! bit, and where the processes do not make the same call, an error on each of them and nothing that waits.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use gpunorm::{
    BatchNorm, Begun, Collective, DType, Error, Gpu, GpuNorm, LayerNorm, Mode, NormSpec, ProcessGroup, Result,
    SwitchableNorm, Tensor, Wanted,
};
use ndarray::{ArrayD, Axis, IxDyn, concatenate};

use super::compare::{compare, state_dict};
use super::{adapters, data, settings, shares};

/// Longer than any of these tests waits on purpose.
fn long() -> Duration {
    settings::within(120)
}

/// A group of an app's own: its threads use the GPU one at a time, as wgpu on GL wants it, and count what they exchange.
#[derive(Debug)]
struct Turns {
    group: ProcessGroup,
    turn: Arc<(Mutex<bool>, Condvar)>,
    exchanges: Arc<AtomicUsize>,
}

impl Turns {
    fn take(&self) {
        let (taken, left) = &*self.turn;
        *left.wait_while(taken.lock().unwrap(), |taken| *taken).unwrap() = true;
    }

    fn leave(&self) {
        drop(Leaves(Arc::clone(&self.turn)));
    }
}

/// Ends a turn, also of a thread that panics.
struct Leaves(Arc<(Mutex<bool>, Condvar)>);

impl Drop for Leaves {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap() = false;
        self.0.1.notify_all();
    }
}

impl Collective for Turns {
    fn rank(&self) -> usize {
        self.group.rank()
    }

    fn size(&self) -> usize {
        self.group.size()
    }

    fn all_gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        self.leave();
        let gathered = self.group.all_gather(own);
        self.take();
        gathered
    }
}

/// What each of `size` threads gives, by rank, and how many exchanges each has had.
fn on_each<T: Send>(size: usize, run: impl Fn(&ProcessGroup) -> T + Sync) -> (Vec<T>, usize) {
    let (turn, exchanges) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
    let members = ProcessGroup::local(size, long()).into_iter().map(|group| {
        let (turn, exchanges) = (Arc::clone(&turn), Arc::clone(&exchanges));
        Turns { group, turn, exchanges }
    });
    let members: Vec<Turns> = members.collect();
    let results = thread::scope(|scope| {
        let run = &run;
        let started: Vec<_> = members
            .into_iter()
            .map(|member| {
                scope.spawn(move || {
                    member.take();
                    let _last = Leaves(Arc::clone(&member.turn));
                    run(&ProcessGroup::new(member))
                })
            })
            .collect();
        started.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    (results, exchanges.load(Ordering::Relaxed) / size)
}

/// A layer that shares its batch.
fn shared(gpu: &Gpu, spec: impl Into<NormSpec>, group: &ProcessGroup) -> GpuNorm {
    let mut norm = GpuNorm::new(gpu, spec).unwrap();
    norm.set_process_group(Some(group));
    norm
}

fn tensor(gpu: &Gpu, shape: &[usize]) -> Tensor {
    Tensor::from_array(gpu, &data::values("normal", shape, 7)).unwrap()
}

#[test]
fn shares_give_what_the_whole_batch_gives() {
    let cases = shares::cases();
    for (adapter, (name, gpu)) in adapters::all().enumerate() {
        // Three of them have an odd share and an empty one; other numbers take turns, as cases do on the second adapter.
        for (number, case) in cases.iter().enumerate().filter(|(number, _)| number % (1 + 2 * adapter) == 0) {
            for size in BTreeSet::from([3, 1 + number / (1 + 2 * adapter) % 4]) {
                let (results, _) = on_each(size, |group| case.run_twice(gpu, group));
                results
                    .into_iter()
                    .for_each(|result| result.unwrap_or_else(|reason| panic!("{name}, {size}: {reason}")));
            }
        }
    }
}

/// A share has a size of its own, not only in samples: all values of a channel count alike.
#[test]
fn shares_of_other_pictures_count_by_their_pixels() {
    let shapes: [&[usize]; 3] = [&[2, 3, 5, 4], &[1, 3, 70], &[0, 3, 9]];
    let whole: Vec<ArrayD<f32>> = shapes.iter().map(|shape| data::values("uniform", shape, 7)).collect();
    // In one row for each channel.
    let rows = whole.iter().map(|x| {
        let (samples, rest) = (x.shape()[0], x.shape()[2..].iter().product::<usize>());
        let x = x.to_shape((samples, 3, rest)).unwrap().into_owned().permuted_axes([1, 0, 2]);
        x.to_shape((3, samples * rest)).unwrap().into_owned()
    });
    let rows: Vec<_> = rows.collect();
    let all = concatenate(Axis(1), &rows.iter().map(|row| row.view()).collect::<Vec<_>>()).unwrap();
    let all = all.insert_axis(Axis(0)).into_dyn().mapv(f64::from);
    let spec = NormSpec::from(BatchNorm::new(3));
    let mut state = data::state(&spec);
    let before = state_dict(&state);
    let expected = gpunorm::reference::forward(&spec, Mode::Training, &mut state, &all).unwrap();
    let tolerance = expected.tolerance(DType::F32);
    let gpu = adapters::first();
    let (results, _) = on_each(3, |group| {
        let mut norm = shared(gpu, spec.clone(), group);
        norm.load_state_dict(&before, "").unwrap();
        norm.forward(&whole[group.rank()]).unwrap()
    });
    let mut at = 0;
    for (y, row) in results.iter().zip(&rows) {
        let (samples, columns) = (y.shape()[0], row.ncols());
        let within = ndarray::s![0, .., at..at + columns];
        let shaped = |array: &ArrayD<f64>| {
            let own = array.slice(within).to_owned();
            let own = own.to_shape((3, samples, columns.checked_div(samples).unwrap_or(0))).unwrap().into_owned();
            own.permuted_axes([1, 0, 2]).to_shape(IxDyn(y.shape())).unwrap().into_owned()
        };
        compare(y, &shaped(&expected.output), &shaped(&tolerance)).unwrap();
        at += columns;
    }
}

#[test]
fn a_forward_and_a_backward_exchange_once_each() {
    let gpu = adapters::first();
    for spec in [NormSpec::from(BatchNorm::new(4)), SwitchableNorm::new(4).into()] {
        let exchanges = |run: &(dyn Fn(&GpuNorm, &Tensor) + Sync)| {
            let run = |group: &ProcessGroup| run(&shared(gpu, spec.clone(), group), &tensor(gpu, &[3, 4, 5]));
            on_each(2, run).1
        };
        let saved = |norm: &GpuNorm, x: &Tensor| norm.forward_saved(x).unwrap().1;
        assert_eq!(exchanges(&|norm, x| drop(norm.forward_tensor(x).unwrap())), 1);
        assert_eq!(exchanges(&|norm, x| norm.forward_in_place(x).unwrap()), 1);
        assert_eq!(exchanges(&|norm, x| drop(norm.forward(&x.to_array().unwrap()).unwrap())), 1);
        assert_eq!(exchanges(&|norm, x| drop(saved(norm, x))), 1);
        assert_eq!(exchanges(&|norm, x| drop(norm.backward(x, &saved(norm, x)).unwrap())), 2);
        let parameters = |norm: &GpuNorm, x: &Tensor| norm.backward_of(x, &saved(norm, x), Wanted::Parameters).unwrap();
        assert_eq!(exchanges(&|norm, x| drop(parameters(norm, x))), 1, "dx alone goes through the statistics");
        // Whoever evaluates does so alone, unless a backward follows.
        let evaluated = |norm: &GpuNorm, x: &Tensor| {
            norm.set_mode(Mode::Evaluation);
            norm.forward_tensor(x).unwrap();
        };
        assert_eq!(exchanges(&evaluated), 0);
        let frozen = |norm: &GpuNorm, x: &Tensor| {
            norm.set_mode(Mode::Evaluation);
            norm.backward(x, &saved(norm, x)).unwrap();
        };
        assert_eq!(exchanges(&frozen), 1, "that all evaluate");
    }
    let others = |group: &ProcessGroup| {
        let norm = shared(gpu, LayerNorm::new([5]), group);
        let x = tensor(gpu, &[3, 4, 5]);
        norm.backward(&x, &norm.forward_saved(&x).unwrap().1).unwrap();
    };
    assert_eq!(on_each(2, others).1, 0, "a norm without statistics of the batch");
}

/// In place, into tensors of the app's, and added to what is there.
#[test]
fn begun_halves_finish_as_calls_do() {
    let gpu = adapters::first();
    on_each(2, |group| {
        let norm = shared(gpu, BatchNorm::new(4).momentum(0.0), group);
        let x = tensor(gpu, &[3 + group.rank(), 4, 5]);
        let array = |tensor: &Tensor| tensor.to_array().unwrap();
        let (y, saved) = norm.forward_saved(&x).unwrap();
        let gradients = norm.backward(&y, &saved).unwrap();

        let into = Tensor::zeros(gpu, x.shape(), DType::F32).unwrap();
        norm.begin_forward_into(&x, &into).finish().unwrap();
        assert_eq!(array(&into), array(&y));
        assert_eq!(array(&norm.begin_forward(&x).finish().unwrap()), array(&y));
        let sums = norm.zero_gradients(&saved).unwrap().accumulate(true);
        for _ in 0..2 {
            norm.begin_backward_into(&y, &saved, &sums).finish().unwrap();
        }
        assert_eq!(array(sums.input().unwrap()), array(gradients.input().unwrap()));
        let [twice, once] = [&sums, &gradients].map(|gradients| array(gradients.weight.as_ref().unwrap()));
        assert_eq!(twice, once * 2.0);
        norm.forward_in_place(&x).unwrap();
        assert_eq!(array(&x), array(&y));
    });
}

#[test]
fn several_layers_share_one_exchange() {
    let gpu = adapters::first();
    let run = |together: bool| {
        on_each(3, |group| {
            let norms = [NormSpec::from(BatchNorm::new(4)), SwitchableNorm::new(6).into(), LayerNorm::new([5]).into()];
            let norms = norms.map(|spec| shared(gpu, spec, group));
            let [first, second] = [4, 6].map(|channels| tensor(gpu, &[group.rank(), channels, 5]));
            let inputs = [&first, &second, &first];
            let outputs: Vec<Tensor> = if together {
                let begun: Vec<_> = norms.iter().zip(inputs).map(|(norm, x)| norm.begin_forward(x)).collect();
                Begun::finish_all(begun).unwrap()
            } else {
                norms.iter().zip(inputs).map(|(norm, x)| norm.forward_tensor(x).unwrap()).collect()
            };
            outputs.iter().map(|y| y.to_array().unwrap()).collect::<Vec<_>>()
        })
    };
    let ((together, once), (apart, twice)) = (run(true), run(false));
    assert_eq!((once, twice), (1, 2));
    assert_eq!(together, apart);
    // Other passes come between the halves of one, and use the same scratch.
    on_each(2, |group| {
        let (norm, other) = (shared(gpu, SwitchableNorm::new(4), group), shared(gpu, SwitchableNorm::new(4), group));
        let x = tensor(gpu, &[5, 4, 6]);
        let expected = norm.forward_tensor(&x).unwrap().to_array().unwrap();
        let begun = norm.begin_forward(&x);
        let alone = GpuNorm::new(gpu, SwitchableNorm::new(4)).unwrap();
        alone.forward_tensor(&Tensor::zeros(gpu, &[7, 4, 6], DType::F32).unwrap()).unwrap();
        let begun_after = other.begin_forward(&Tensor::zeros(gpu, &[2, 4, 6], DType::F32).unwrap());
        assert_eq!(begun.finish().unwrap().to_array().unwrap(), expected);
        begun_after.finish().unwrap();
    });
}

/// What each rank of two gets; within a bounded time, on both, and with nothing changed.
fn errors(run: impl Fn(&GpuNorm, &Tensor, usize) -> Result<()> + Sync) -> Vec<String> {
    let gpu = adapters::first();
    let start = Instant::now();
    let (errors, _) = on_each(2, |group| {
        let norm = shared(gpu, BatchNorm::new(4), group);
        let before = norm.state_dict("").unwrap();
        let error = run(&norm, &tensor(gpu, &[3, 4, 5]), group.rank()).unwrap_err();
        assert_eq!(norm.state_dict("").unwrap(), before, "{error}");
        error.to_string()
    });
    assert!(start.elapsed() < long(), "{errors:?}");
    errors
}

#[test]
fn who_does_not_make_the_same_call_is_told_and_so_are_the_others() {
    let differ = |what: &str| vec![format!("the processes do not agree on the {what}"); 2];
    let saved = |norm: &GpuNorm, x: &Tensor| norm.forward_saved(x);
    let other = |norm: &GpuNorm, spec: NormSpec| shared(norm.gpu(), spec, norm.process_group().unwrap());
    let found = errors(|norm, x, rank| {
        norm.set_mode([Mode::Training, Mode::Evaluation][rank]);
        saved(norm, x).map(drop)
    });
    assert_eq!(found, differ("mode, by rank: training, evaluation"));
    let found = errors(|norm, x, rank| {
        if rank == 0 {
            return saved(norm, x).map(drop);
        }
        let norm = other(norm, BatchNorm::new(7).into());
        saved(&norm, &tensor(norm.gpu(), &[2, 7])).map(drop)
    });
    assert_eq!(found, differ("layer, by rank: 0, 1"));
    let gpu = adapters::first();
    let (found, _) = on_each(3, |group| {
        let channels = 4 + usize::from(group.rank() == 1);
        let norm = shared(gpu, BatchNorm::new(channels), group);
        norm.forward_tensor(&tensor(gpu, &[2, channels])).unwrap_err().to_string()
    });
    assert_eq!(found, vec!["the processes do not agree on the channels, by rank: 4, 5, 4"; 3]);
    let found = errors(|norm, x, rank| {
        let begun = norm.begin_forward(x);
        let second = other(norm, BatchNorm::new(4).into());
        let more = (rank == 1).then(|| second.begin_forward(x));
        Begun::finish_all([begun].into_iter().chain(more)).map(drop)
    });
    assert_eq!(found, differ("number of layers, by rank: 1, 2"));

    // One that fails says so to the others, and knows itself why.
    let found = errors(|norm, x, rank| {
        let wrong = tensor(norm.gpu(), &[3, 5, 5]);
        norm.forward_tensor(if rank == 0 { x } else { &wrong }).map(drop)
    });
    let own = "batch norm: expected 4 channels in dimension 1, got 5 in shape [3, 5, 5]";
    assert_eq!(found, [format!("rank 1 has failed: {own}"), own.to_owned()]);
    // Of the whole batch, too few values.
    let found = errors(|norm, _, rank| norm.forward_tensor(&tensor(norm.gpu(), &[rank, 4])).map(drop));
    let one = |rank: usize| {
        format!("batch norm: expected more than 1 value per channel to take statistics of, got shape [{rank}, 4]")
    };
    assert_eq!(found, [one(0), one(1)]);
    // Which one of each may be.
    let (y, _) = on_each(2, |group| {
        let norm = shared(gpu, BatchNorm::new(1).affine(false).eps(1e-30), group);
        norm.forward(&ArrayD::from_elem(vec![1, 1], group.rank() as f32)).unwrap()[[0, 0]]
    });
    assert!(y.iter().zip([-1.0, 1.0]).all(|(y, expected)| (y - expected).abs() < 1e-6), "{y:?}");
}

#[test]
fn nobody_waits_for_who_does_not_come() {
    let gpu = adapters::first();
    let members = ProcessGroup::local(2, Duration::from_millis(200));
    let norm = shared(gpu, BatchNorm::new(4), &members[0]);
    let late = norm.forward_tensor(&tensor(gpu, &[3, 4])).unwrap_err().to_string();
    assert_eq!(late, "the group of processes: rank 0 has waited for 200ms");
    let mut members = ProcessGroup::local(2, long()).into_iter();
    let norm = shared(gpu, BatchNorm::new(4), &members.next().unwrap());
    let other = members.next();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| norm.forward_tensor(&tensor(gpu, &[3, 4])).unwrap_err().to_string());
        thread::sleep(Duration::from_millis(100));
        drop(other);
        assert_eq!(waiting.join().unwrap(), "the group of processes: rank 1 has left");
    });
}

/// Layers of two groups, and a group that does not gather from all.
#[test]
fn a_group_that_is_none_is_refused() {
    #[derive(Debug)]
    struct Deaf;
    impl Collective for Deaf {
        fn rank(&self) -> usize {
            0
        }

        fn size(&self) -> usize {
            2
        }

        fn all_gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>> {
            Ok(vec![own.to_vec()])
        }
    }
    let gpu = adapters::first();
    let x = tensor(gpu, &[3, 4]);
    let norm = shared(gpu, BatchNorm::new(4), &ProcessGroup::new(Deaf));
    let told = norm.forward_tensor(&x).unwrap_err().to_string();
    assert_eq!(told, "the group of processes: 1 of 2 processes were gathered");
    let alone = ProcessGroup::local(1, long()).pop().unwrap();
    let second = shared(gpu, BatchNorm::new(4), &alone);
    let told = Begun::finish_all([norm.begin_forward(&x), second.begin_forward(&x)]).unwrap_err().to_string();
    assert_eq!(told, "the group of processes: layers that share an exchange have to be of one group");
}

#[test]
fn what_only_records_is_refused() {
    let gpu = adapters::first();
    for spec in [NormSpec::from(BatchNorm::new(4)), SwitchableNorm::new(4).into()] {
        let group = ProcessGroup::local(1, long()).pop().unwrap();
        let mut norm = shared(gpu, spec, &group);
        let x = tensor(gpu, &[3, 4, 5]);
        let y = Tensor::zeros(gpu, x.shape(), DType::F32).unwrap();
        let (_, saved) = norm.forward_saved(&x).unwrap();
        let gradients = norm.zero_gradients(&saved).unwrap();
        let before = norm.state_dict("").unwrap();
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let refused = |result: Result<()>, what: &'static str| {
            assert_eq!(result, Err(Error::Synchronized { what, processes: 1 }));
        };
        refused(norm.encode_forward(&mut encoder, &x, &y), "a forward");
        refused(norm.encode_forward_saved(&mut encoder, &x, &y).map(drop), "a forward");
        refused(norm.encode_forward_again(&mut encoder, &y, &saved), "a forward");
        refused(norm.profile(&x, &y).map(drop), "a forward");
        refused(norm.encode_backward(&mut encoder, &x, &saved, &gradients), "a backward");
        refused(norm.profile_backward(&x, &saved, &gradients).map(drop), "a backward");
        assert_eq!(norm.state_dict("").unwrap(), before);
        // It shows where it would exchange.
        let [forward, backward] = [norm.plan(x.shape(), DType::F32), norm.plan_backward(&saved)];
        for plan in [forward.unwrap(), backward.unwrap()] {
            assert!(plan.to_string().contains("\n  the processes exchange "), "{plan}");
        }
        // As another layer, without a group, it records again.
        norm.set_process_group(None);
        assert_eq!(norm.backward(&x, &saved).unwrap_err(), Error::OtherLayer);
        norm.encode_forward(&mut encoder, &x, &y).unwrap();
        norm.call().mode(Mode::Evaluation).encode_forward(&mut encoder, &x, &y).unwrap();
    }
}
