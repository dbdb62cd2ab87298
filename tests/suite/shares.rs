//! A batch in shares: what each process of a group finds of its own, held to the oracle's results of the whole batch. The suite runs
//! it with threads, `tests/mpi/` with processes.

use std::ops::Range;

use gpunorm::reference::{self, Forward, NeighbourGradients, Neighbours, State};
use gpunorm::{
    Activation, BatchNorm, DType, Gpu, GpuNorm, Mode, NormSpec, ProcessGroup, SwitchableNorm, Tensor, Variance,
    Weighting,
};
use ndarray::{ArrayD, Axis, Slice};

use super::case::{Outcome, gradient_allowance, off, text};
use super::compare::{allowance, check_statistics, compare, state_dict};
use super::data::{self, rounded};

/// A forward and a backward of a whole batch, and what the oracle says of them.
pub struct Case {
    pub spec: NormSpec,
    pub dtype: DType,
    pub before: State,
    after: State,
    pub x: ArrayD<f32>,
    dy: ArrayD<f32>,
    along: Option<Along>,
    /// Of `x`, or of the sum.
    sum: ArrayD<f64>,
    forward: Forward,
    gradients: NeighbourGradients,
}

/// Everything that can stand beside a norm.
struct Along {
    before: ArrayD<f32>,
    scale: ArrayD<f32>,
    shift: ArrayD<f32>,
    after: ArrayD<f32>,
}

/// Batch norm and switchable norm: few positions and many, odd and even ones, none; each type; with what stands beside them.
pub fn cases() -> Vec<Case> {
    let (batch, switchable) = (BatchNorm::new, SwitchableNorm::new);
    let (f32, f16, bf16) = (DType::F32, DType::F16, DType::BF16);
    let alone: [(NormSpec, &[usize], DType, &str); 13] = [
        (batch(6).into(), &[9, 6, 7], f32, "normal"),
        (batch(6).bias(false).cumulative_average().into(), &[9, 6, 80], f32, "mean 1e4"),
        (batch(5).affine(false).track_running_stats(false).into(), &[11, 5], f16, "normal"),
        (batch(3).momentum(0.4).into(), &[9, 3, 9, 9], bf16, "uniform"),
        (batch(6).channels_last().into(), &[9, 20, 6], f16, "normal"),
        (batch(4).into(), &[9, 4, 33], f32, "first outlier"),
        (batch(2).activation(Activation::Silu).into(), &[9, 2, 66], f32, "normal"),
        (switchable(6).into(), &[9, 6, 7], f32, "mean 1e2"),
        (switchable(6).weighting(Weighting::Plain).into(), &[9, 6, 80], f32, "normal"),
        (switchable(4).variance(Variance::Reference).momentum(0.3).into(), &[9, 4, 3, 3], f16, "normal"),
        (switchable(6).instance_statistics(false).variance(Variance::Reference).into(), &[11, 6], f32, "normal"),
        (switchable(6).channels_last().cumulative_average().into(), &[9, 5, 6], f32, "normal"),
        (switchable(3).batch_statistics(false).into(), &[9, 3, 7], f32, "normal"),
    ];
    let beside: [(NormSpec, &[usize], DType); 3] = [
        (batch(6).activation(Activation::Silu).into(), &[9, 6, 80], f32),
        (batch(4).into(), &[9, 4, 8], f16),
        // With parameters it would bind more than every device has.
        (switchable(4).affine(false).activation(Activation::Silu).into(), &[9, 4, 9], f32),
    ];
    let alone = alone.into_iter().map(|(spec, shape, dtype, values)| Case::new(spec, shape, dtype, values, false));
    alone.chain(beside.into_iter().map(|(spec, shape, dtype)| Case::new(spec, shape, dtype, "normal", true))).collect()
}

/// The samples of each of so many processes: of unequal shares, an odd and an empty one among them.
pub fn share(samples: usize, size: usize, rank: usize) -> Range<usize> {
    let ends = match size {
        1 => vec![samples],
        2 => vec![1, samples],
        3 => vec![3, 3, samples],
        4 => vec![2, 2, 3, samples],
        _ => (1..=size).map(|rank| rank * samples / size).collect(),
    };
    (if rank == 0 { 0 } else { ends[rank - 1] })..ends[rank]
}

fn wide(array: &ArrayD<f32>) -> ArrayD<f64> {
    array.mapv(f64::from)
}

fn part<T: Clone>(array: &ArrayD<T>, samples: &Range<usize>) -> ArrayD<T> {
    array.slice_axis(Axis(0), Slice::from(samples.clone())).to_owned()
}

/// The bits of what is there, as numbers.
fn bits(array: &ArrayD<f32>) -> Vec<u8> {
    array.iter().flat_map(|value| value.to_bits().to_le_bytes()).collect()
}

impl Case {
    fn new(spec: NormSpec, shape: &[usize], dtype: DType, values: &str, beside: bool) -> Case {
        let of = |name, shape: &[usize], dtype| rounded(&data::values(name, shape, 7), dtype);
        let x = of(values, shape, dtype);
        let dy = rounded(&of("normal", shape, dtype).mapv(|value| 0.5 - value), dtype);
        let by_sample = &shape[..2];
        let along = beside.then(|| Along {
            before: of("uniform", by_sample, dtype),
            scale: of("normal", by_sample, DType::F32),
            shift: of("uniform", by_sample, DType::F32),
            after: rounded(&of("uniform", shape, dtype).mapv(|value| value / 4.0), dtype),
        });
        let mut before = data::state(&spec);
        before.num_batches_tracked = before.num_batches_tracked.map(|_| 2);
        let sum = along.as_ref().map_or(x.clone(), |Along { before, .. }| {
            let by_plane = before.clone().insert_axis(Axis(2));
            rounded(&(&x + &by_plane.broadcast(shape).expect("a value for each plane")), dtype)
        });
        let sum = wide(&sum);
        let mut neighbours = Neighbours::default();
        if let Some(Along { scale, shift, after, .. }) = &along {
            neighbours.scale = Some(wide(scale) + 1.0);
            neighbours.shift = Some(wide(shift));
            neighbours.add_after = Some(wide(after));
        }
        let (mut after, mode) = (before.clone(), Mode::Training);
        let forward = reference::forward_beside(&spec, mode, &mut after, &sum, &neighbours).unwrap();
        let gradients = reference::backward_beside(&spec, mode, &before, &sum, &neighbours, &wide(&dy)).unwrap();
        Case { spec, dtype, before, after, x, dy, along, sum, forward, gradients }
    }

    /// Fails if anything that this process finds is out of tolerance, or not the same as others find to the bit where it has to be.
    /// Gives the bits of all that it has found.
    pub fn run(&self, gpu: &Gpu, group: &ProcessGroup) -> Result<Vec<u8>, String> {
        let own = share(self.x.shape()[0], group.size(), group.rank());
        let mut norm = GpuNorm::new(gpu, self.spec.clone()).map_err(text)?;
        norm.load_state_dict(&state_dict(&self.before), "").map_err(text)?;
        norm.set_process_group(Some(group));
        let tensor = |array: &ArrayD<f32>, dtype| Tensor::from_array_as(gpu, &part(array, &own), dtype).map_err(text);
        let x = tensor(&self.x, self.dtype)?;
        let mut found = vec![];

        // What goes along lives as long as the call.
        let along = match &self.along {
            None => None,
            Some(Along { before, scale, shift, after }) => {
                let [scale, shift] = [scale, shift].map(|array| tensor(array, DType::F32));
                Some((tensor(before, self.dtype)?, scale?, shift?, tensor(after, self.dtype)?))
            }
        };
        let call = |norm| -> gpunorm::Call {
            let call = GpuNorm::call(norm);
            match &along {
                None => call,
                Some((before, scale, shift, after)) => call.add_before(before).modulate(scale, shift).add_after(after),
            }
        };
        let twin = norm.try_clone().map_err(text)?;
        let (y, saved) = call(&norm).forward_saved(&x).map_err(text)?;
        let tolerance = self.forward.tolerance(self.dtype) + allowance(&self.before, &self.sum, &self.forward);
        let (expected, tolerance) = (part(&self.forward.output, &own), part(&tolerance, &own));
        for (what, y) in [("saved", y), ("alone", call(&twin).forward_tensor(&x).map_err(text)?)] {
            let y = y.to_array().map_err(text)?;
            found.extend(bits(&y));
            compare(&y, &expected, &tolerance).map_err(|worst| format!("output, {what}, {worst}"))?;
        }
        let mut alike = vec![];
        for norm in [&norm, &twin] {
            let state = norm.state_dict("").map_err(text)?;
            check_statistics(&state, &self.before, &self.after, &self.sum, &self.forward)?;
            let running = ["running_mean", "running_var", "num_batches_tracked"];
            alike.extend(running.iter().filter_map(|name| state.get(name)).flat_map(bits));
        }
        let others = group.all_gather(&alike).map_err(text)?;
        if others.iter().any(|other| *other != alike) {
            return Err("running statistics are not the same on all processes".into());
        }
        found.extend(alike);

        let gradients = norm.backward(&tensor(&self.dy, self.dtype)?, &saved).map_err(text)?;
        let (off, r) = off(&self.forward, &self.sum);
        // A scale multiplies what goes into the layer's own gradients.
        let largest = self.along.as_ref().map_or(1.0, |along| 1.0 + super::compare::largest(&wide(&along.scale)));
        let allowance = gradient_allowance(off * largest, r, &self.before, &wide(&self.dy));
        let expected = self.gradients.named(self.along.is_some(), self.along.is_some());
        for ((what, gradient), (_, expected)) in gradients.named().into_iter().zip(expected) {
            let (gradient, expected) = match (gradient, expected) {
                (Some(gradient), Some(expected)) => (gradient.to_array().map_err(text)?, expected),
                (None, None) => continue,
                (found, _) => return Err(format!("{what} is there: {}", found.is_some())),
            };
            found.extend(bits(&gradient));
            let of_parameter = ["weight", "bias", "mean_weight", "var_weight"].contains(&what);
            let dtype = if ["input", "add_after"].contains(&what) { self.dtype } else { DType::F32 };
            // dx is stored before it is summed.
            let stored = if what == "add_before" && self.dtype == DType::F16 { 2f64.powi(-11) } else { 0.0 };
            let tolerance = expected.tolerance(dtype) + &expected.magnitude * stored;
            let tolerance = tolerance + allowance(if of_parameter { what } else { "input" });
            let checked = if of_parameter {
                // Those of all shares, summed as an app's all-reduce does.
                let all = group.all_gather(&bits(&gradient)).map_err(text)?;
                let mut sum = ArrayD::<f64>::zeros(gradient.shape());
                for bytes in all {
                    let values = bytes.as_chunks::<4>().0.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes)));
                    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
                }
                compare(&sum.mapv(|value| value as f32), &expected.value, &tolerance)
            } else {
                compare(&gradient, &part(&expected.value, &own), &part(&tolerance, &own))
            };
            checked.map_err(|worst| format!("{what}, {worst}"))?;
        }
        Ok(found)
    }

    /// Twice, with the same bits.
    pub fn run_twice(&self, gpu: &Gpu, group: &ProcessGroup) -> Outcome {
        let named = |reason: String| format!("{:?} {:?}, rank {}: {reason}", self.spec, self.x.shape(), group.rank());
        let first = self.run(gpu, group).map_err(named)?;
        let second = self.run(gpu, group).map_err(named)?;
        if first == second { Ok(()) } else { Err(named("the second run has found other bits".into())) }
    }
}
