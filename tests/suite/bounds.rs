//! Why the shaders may run without wgpu's checks: what they address, invocation by invocation, lies in what the step binds,
//! the tails of rows, tensors and dispatches included, and no invocation loops more often than its step says.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use gpunorm::Plan;
use gpunorm::unstable::{
    Binding, Caps, Geometry, Gradient, Kernel, Layout, Modulation, Neighbours, Params, Pass, Pitch, Pitched, Scratch,
    Step, Strategy, Takes,
};
use gpunorm::{Activation, DType, Mode, NormSpec};

use super::data::{self, Random};
use super::interpreter::{Access, Shaders, Subgroups};
use super::plans::{strategies, zoo};
use super::settings;

thread_local! {
    static SHADERS: RefCell<Shaders> = RefCell::default();
}

/// Bytes of what a step binds.
fn bound((plan, step): (&Plan, &Step), spec: &NormSpec, (beside, dtype): (Neighbours, DType), binding: Binding) -> u64 {
    let state = data::state(spec);
    let floats = |array: &Option<ndarray::ArrayD<f64>>| 4 * array.as_ref().map_or(0, |array| array.len()) as u64;
    let planes = || beside.by_channel.expect("there is one") * spec.parameter_shape()[0];
    if step.replaced() == Some(binding) {
        return 16;
    }
    if let Some(bytes) = step.pitched_bytes(binding) {
        return bytes.end - bytes.start;
    }
    match step.resource(binding) {
        Binding::X | Binding::Y | Binding::Dy | Binding::Dx => step.bytes.end - step.bytes.start,
        Binding::Params => size_of::<Params>() as u64,
        Binding::Weight | Binding::WeightGradient => floats(&state.weight),
        Binding::Bias | Binding::BiasGradient => floats(&state.bias),
        Binding::RunningMean | Binding::RunningVar | Binding::NumBatchesTracked => floats(&state.running_mean),
        Binding::MeanWeight | Binding::VarWeight | Binding::MeanWeightGradient | Binding::VarWeightGradient => {
            floats(&state.mean_weight)
        }
        // In whole units.
        Binding::AddBefore if beside.by_channel.is_some() => ((planes() * dtype.size()) as u64).next_multiple_of(16),
        Binding::AddBeforeGradient => 4 * planes() as u64,
        Binding::AddBefore | Binding::AddAfter | Binding::OutputGradient => step.bytes.end - step.bytes.start,
        Binding::KeptSum if beside.keeps_sum => step.bytes.end - step.bytes.start,
        Binding::KeptSum => 16,
        Binding::ModulationScale | Binding::ModulationShift => {
            let Modulation { samples, dtype, .. } = beside.modulation.expect("there is one");
            let values = samples * spec.parameter_shape().iter().product::<usize>();
            ((values * dtype.size()) as u64).next_multiple_of(4)
        }
        // Of a backward, whose forward has left what it takes.
        Binding::FoldedWeight
        | Binding::FoldedBias
        | Binding::FoldedScale
        | Binding::FoldedWeightGradient
        | Binding::FoldedBiasGradient
        | Binding::ScaleGradient
        | Binding::ShiftGradient => {
            let Modulation { samples, .. } = beside.modulation.expect("there is one");
            (4 * samples * spec.parameter_shape().iter().product::<usize>()) as u64
        }
        scratch => plan.scratch.bytes(scratch),
    }
}

/// Which of so many workgroups: the first ones, the last ones and some between, `few` each; all where they are not more.
fn chosen(count: u32, few: u32) -> Vec<u32> {
    let between = (1..few).map(|part| (u64::from(count) * u64::from(part) / u64::from(few)) as u32);
    let ends = (0..few.min(count)).chain(count.saturating_sub(few)..count);
    ends.chain(between).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Runs the invocations of `step` that [`chosen`] says; what is addressed beyond its bindings, and loops beyond its count.
fn faults(planned: &Planned, step: &Step, spec: &NormSpec, dtype: DType, form: Subgroups) -> Vec<String> {
    let &Planned { ref plan, beside, rows } = planned;
    let shader = SHADERS.with_borrow_mut(|shaders| shaders.of(step));
    let bounds: Vec<(u32, u64)> = step
        .kernel
        .bindings()
        .into_iter()
        .map(|(binding, _)| (binding as u32, bound((plan, step), spec, (beside, dtype), binding)))
        .collect();
    let mut faults = vec![];
    let [x, y] = step.workgroups;
    for number in chosen(x * y, 16) {
        for index in 0..step.constant("WORKGROUP").unwrap() {
            let mut beyond = None;
            let mut visit = |access: Access| {
                let bytes = bounds.iter().find(|(binding, _)| *binding == access.binding).expect("it is bound").1;
                if access.first + access.bytes > bytes || rows.is_some_and(|rows| rows.lie_beside(plan, step, access)) {
                    beyond = Some((access, bytes));
                }
            };
            let iterations = shader.run([number % x, number / x], index, form, &mut visit);
            if let Some((access, bytes)) = beyond {
                faults.push(format!("workgroup {number}, invocation {index}: {access:?} of {bytes}"));
            }
            if iterations > step.iterations() {
                faults.push(format!("invocation {index} loops {iterations} times, not {}", step.iterations()));
            }
        }
    }
    faults
}

/// A plan, what stands beside its norm, and where its rows lie apart.
struct Planned {
    plan: Plan,
    beside: Neighbours,
    rows: Option<Apart>,
}

/// Rows of the same pitch in all tensors.
#[derive(Clone, Copy)]
struct Apart {
    len: usize,
    size: usize,
    pitched: Pitched,
}

impl Apart {
    /// Of a layer whose kernels can walk them, drawn at random.
    fn new(random: &mut Random, spec: &NormSpec, geometry: &Geometry, dtype: DType) -> Option<Apart> {
        let (len, size) = (geometry.row_len, dtype.size());
        let trailing = matches!(spec, NormSpec::Layer(_) | NormSpec::Rms(_));
        if !trailing || spec.channels_first() || geometry.is_empty() || !(len * size).is_multiple_of(4) {
            return None;
        }
        let unit = [4 / size, 16 / size][random.below(2)];
        let periods: Vec<usize> = (1..=geometry.rows).filter(|&period| geometry.rows.is_multiple_of(period)).collect();
        let period = periods[random.below(periods.len())];
        let groups = geometry.rows / period;
        let mut pitch = || {
            let mut apart = |least: usize| least.next_multiple_of(unit) + unit * random.below(3);
            let first = apart(0);
            let near = apart(len);
            match apart(0).is_multiple_of(2 * unit) {
                true => Pitch { first, row: near, group: apart(near * period) },
                // Groups within rows.
                false => Pitch { first, group: near, row: apart(near * groups) },
            }
        };
        let pitched = Pitched { period, input: pitch(), output: pitch(), gradient: pitch() };
        Some(Apart { len, size, pitched })
    }

    /// Whether a tensor whose rows lie apart is addressed beside them.
    fn lie_beside(self, plan: &Plan, step: &Step, access: Access) -> bool {
        // What goes into an activation is contiguous.
        let behind = plan.steps.iter().any(|step| matches!(step.kernel, Kernel::BackwardOutput { .. }));
        let pitches = [
            (Binding::X, self.pitched.input),
            (Binding::Y, self.pitched.output),
            (Binding::Dx, self.pitched.output),
            (Binding::Dy, self.pitched.gradient),
            (Binding::OutputGradient, self.pitched.gradient),
        ];
        let mut pitches = pitches.into_iter().filter(|(binding, _)| !(behind && *binding == Binding::Dy));
        let Some((binding, pitch)) = pitches.find(|(binding, _)| *binding as u32 == access.binding) else {
            return false;
        };
        let Some(bytes) = step.pitched_bytes(binding) else { return false };
        let begin = bytes.start + access.first;
        let Some(begin) = begin.checked_sub((pitch.first * self.size) as u64) else { return true };
        let (far, near) = (pitch.row.max(pitch.group), pitch.row.min(pitch.group));
        let within = begin % (far.max(1) * self.size) as u64 % (near.max(1) * self.size) as u64;
        within + access.bytes > (self.len * self.size) as u64
    }
}

/// What of a backward somebody wants.
const WANTED: [(Gradient, Gradient); 3] = [
    (Gradient::Added, Gradient::Added),
    (Gradient::Replaced, Gradient::Unwanted),
    (Gradient::Unwanted, Gradient::Replaced),
];

/// What may stand beside a layer for inputs of this shape; shapes take turns.
fn neighbours(spec: &NormSpec, shape: &[usize], dtype: DType) -> Neighbours {
    let trailing = matches!(spec, NormSpec::Layer(_) | NormSpec::Rms(_));
    let batched = !trailing || shape.len() > spec.parameter_shape().len();
    let samples = if matches!(spec, NormSpec::Instance(_)) && shape.len() == 2 { 1 } else { shape[0] };
    let modulation = |from_one, dtype| batched.then_some(Modulation { samples, from_one, dtype });
    let none = Neighbours::NONE;
    let by_channel = (batched && !trailing).then_some(samples);
    match shape.iter().sum::<usize>() % 4 {
        0 => {
            let modulation = modulation(true, DType::F32);
            Neighbours { add_before: true, by_channel: None, keeps_sum: true, modulation, add_after: true }
        }
        1 => Neighbours { add_before: true, by_channel, keeps_sum: true, ..none },
        2 => Neighbours { add_before: true, modulation: modulation(false, dtype), ..none },
        _ => Neighbours { add_after: true, ..none },
    }
}

/// The plans of a layer: of its forward, alone and with neighbours, its saved forward and its backward, through an activation
/// too.
fn plans(
    (spec, shape, geometry): (&NormSpec, &[usize], &Geometry),
    dtype: DType,
    caps: &Caps,
    strategy: Strategy,
) -> Vec<(Plan, Neighbours)> {
    let plan = |pass| Plan::new(spec, geometry, dtype, caps, strategy, pass).ok();
    let saved = plan(Pass::forward(true));
    let parts = saved.as_ref().map_or(1, |plan| plan.steps.first().map_or(1, |step| step.params.partial_row.max(1)));
    let parts = if matches!(spec, NormSpec::Switchable(_)) { parts as usize } else { 1 };
    let forward = plan(Pass::forward(false));
    let backward = |(input, parameters)| saved.as_ref().and_then(|_| plan(Pass::backward(parts, input, parameters)));
    // What a saved forward leaves is bound whole by the backward.
    let scratch = saved.as_ref().map(|plan| plan.scratch);
    let neighbours = neighbours(spec, shape, dtype);
    let beside = plan(Pass::Forward { saves: false, neighbours }).map(|plan| (plan, neighbours));
    let mut plans: Vec<_> = beside.into_iter().collect();
    let alone = |plan| (plan, Neighbours::NONE);
    plans.extend([&forward, &saved].into_iter().flatten().cloned().map(alone));
    // Of a backward through an activation, what it has besides; and one through a modulation, and its saved forward.
    let activated = spec.clone().with_activation(Activation::LeakyRelu { negative_slope: 0.2 });
    let through = |neighbours: Neighbours| {
        let (input, parameters) = (Gradient::Replaced, Gradient::Added);
        let (modulation, addend) = (true, neighbours.by_channel.is_some());
        let pass = Pass::Backward { parts, input, parameters, modulation, addend, neighbours };
        Plan::new(&activated, geometry, dtype, caps, strategy, pass).ok()
    };
    let added = saved.as_ref().and_then(|_| {
        let mut plan = through(Neighbours { add_after: true, ..Neighbours::NONE })?;
        plan.steps.retain(|step| matches!(step.kernel, Kernel::BackwardOutput { .. }));
        Some(plan)
    });
    let addend = saved.as_ref().filter(|_| neighbours.by_channel.is_some()).and_then(|_| {
        let mut plan = through(Neighbours { by_channel: neighbours.by_channel, ..Neighbours::NONE })?;
        plan.steps.retain(|step| step.takes == Takes::Dx);
        Some(plan)
    });
    let modulation = Neighbours { modulation: neighbours.modulation, ..Neighbours::NONE };
    let modulates = modulation.modulation.filter(|modulation| modulation.samples > 0).and(saved.as_ref());
    plans.extend(modulates.and_then(|_| {
        let mut plan = plan(Pass::Forward { saves: true, neighbours: modulation })?;
        plan.steps.retain(|step| matches!(step.kernel, Kernel::ForwardFold { .. }));
        Some((plan, modulation))
    }));
    let modulated = modulates.and_then(|_| through(modulation));
    let backwards = WANTED.into_iter().filter_map(backward).chain(added).map(alone);
    let by_channel = Neighbours { by_channel: neighbours.by_channel, ..Neighbours::NONE };
    let backwards = backwards.chain(addend.map(|plan| (plan, by_channel)));
    for (mut plan, beside) in backwards.chain(modulated.map(|plan| (plan, modulation))) {
        let Scratch { moments, statistics, axes, .. } = scratch.unwrap_or_default();
        plan.scratch = Scratch { moments, statistics, axes, ..plan.scratch };
        plans.push((plan, beside));
    }
    plans
}

/// The plans of a layer's forward and backward whose tensors lie apart or in one place.
fn laid_out(
    (spec, geometry): (&NormSpec, &Geometry),
    dtype: DType,
    caps: &Caps,
    strategy: Strategy,
    random: &mut Random,
) -> Vec<Planned> {
    let in_place = random.below(2) == 1;
    let rows = Apart::new(random, spec, geometry, dtype).map(|mut rows| {
        if in_place {
            (rows.pitched.output, rows.pitched.gradient) = (rows.pitched.input, rows.pitched.input);
        }
        rows
    });
    let layout = Layout { in_place, pitched: rows.map(|rows| rows.pitched) };
    let plan = |spec: &NormSpec, pass, layout| Plan::laid_out(spec, geometry, dtype, caps, strategy, pass, layout).ok();
    let Some(forward) = plan(spec, Pass::forward(false), layout) else { return vec![] };
    let parts = forward.steps.first().map_or(1, |step| step.params.partial_row.max(1));
    let parts = if matches!(spec, NormSpec::Switchable(_)) { parts as usize } else { 1 };
    let (scratch, pass) = (forward.scratch, Pass::backward(parts, Gradient::Replaced, Gradient::Replaced));
    let activated = spec.clone().with_activation(Activation::Silu);
    let through = plan(&activated, pass, Layout { in_place: false, ..layout });
    let backwards = [plan(spec, pass, layout), through].into_iter().flatten().map(|mut plan| {
        // What a forward leaves is bound whole, be it one that saves nothing.
        let Scratch { moments, axes, .. } = scratch;
        plan.scratch = Scratch { moments, axes, statistics: geometry.rows as u64, ..plan.scratch };
        plan
    });
    let planned = |plan| Planned { plan, beside: Neighbours::NONE, rows };
    [forward].into_iter().chain(backwards).map(planned).collect()
}

/// Subgroups as the plan reckons with them, and as drivers should not make them.
fn forms(step: &Step) -> Vec<Subgroups> {
    let sizes = ["SUBGROUP", "SUBGROUP_MAX"].map(|name| step.constant(name));
    let [Some(min), Some(max)] = sizes else { return vec![Subgroups { size: 1, filled: 1 }] };
    let of = |size: u32, filled| Subgroups { size, filled };
    let mut forms = vec![of(min, min), of(min, min.div_ceil(2)), of(1, 1)];
    if min < max {
        forms.extend([of(2 * min, 2 * min), of(max, max), of(max, 1)]);
    }
    forms
}

fn check(drawn: &Drawn, caps: &Caps, strategy: Strategy, random: &mut Random) -> usize {
    let &Drawn { ref shape, ref spec, mode, dtype } = drawn;
    // Of some, other processes have shares of the batch.
    let of_batch = mode == Mode::Training && matches!(spec, NormSpec::Batch(_) | NormSpec::Switchable(_));
    let geometry = match of_batch && random.below(2) == 1 {
        true => Geometry::of_share(spec, shape, 1 + random.below(5)),
        false => Geometry::new(spec, mode, shape),
    };
    let Ok(geometry) = geometry else { return 0 };
    let mut steps = 0;
    let usual = plans((spec, shape, &geometry), dtype, caps, strategy).into_iter();
    let usual = usual.map(|(plan, beside)| Planned { plan, beside, rows: None });
    for planned in usual.chain(laid_out((spec, &geometry), dtype, caps, strategy, random)) {
        let plan = &planned.plan;
        for step in &plan.steps {
            for form in forms(step) {
                let faults = faults(&planned, step, spec, dtype, form);
                let place = || format!("{spec:?} {mode:?} {shape:?} {dtype} {caps:?} {strategy:?}\n{plan}{step:?}");
                assert!(
                    faults.is_empty(),
                    "{} of {}",
                    faults.iter().take(5).cloned().collect::<Vec<_>>().join("\n"),
                    place()
                );
                steps += 1;
            }
        }
    }
    steps
}

/// A layer, a shape that it may take, and how.
struct Drawn {
    shape: Vec<usize>,
    spec: NormSpec,
    mode: Mode,
    dtype: DType,
}

impl Drawn {
    fn new(random: &mut Random, samples: usize) -> Drawn {
        let shape = [samples, 1 + random.below(8), 1 + random.below(9), 1 + random.below(12)];
        let shape = shape[..2 + random.below(3)].to_vec();
        let mut specs = data::channel_specs(shape[1]);
        specs.extend((1..shape.len()).flat_map(|axis| data::trailing_specs(&shape, axis)));
        specs.extend(data::layout_specs(&shape));
        let spec = specs.swap_remove(random.below(specs.len()));
        let mode = [Mode::Training, Mode::Evaluation][random.below(2)];
        Drawn { shape, spec, mode, dtype: [DType::F32, DType::F16, DType::BF16][random.below(3)] }
    }
}

/// Invocations of a step, and the loop iterations of all of them, from a few of them.
fn work(step: &Step) -> (u64, u64) {
    let shader = SHADERS.with_borrow_mut(|shaders| shaders.of(step));
    let [x, y] = step.workgroups;
    let workgroup = step.constant("WORKGROUP").unwrap();
    let (chosen, form) = (chosen(x * y, 4), forms(step)[0]);
    // Each stands for those up to the next one.
    let ends = chosen.iter().skip(1).copied().chain([x * y]);
    let iterations = chosen.iter().zip(ends).map(|(&number, end)| {
        let run = |index| shader.run([number % x, number / x], index, form, &mut |_| {});
        let between = workgroup.div_ceil(16);
        let iterations: u64 = (0..workgroup).step_by(between as usize).map(run).sum();
        u64::from(end - number) * u64::from(between) * iterations
    });
    (u64::from(x) * u64::from(y) * u64::from(workgroup), iterations.sum())
}

/// However many rows there are: a pass launches a few lanes for each unit of its tensor and a workgroup for each channel,
/// and all of them together loop about once for each element. (Work that grows with the square of the rows took minutes.)
#[test]
fn work_grows_with_the_tensor() {
    let mut random = Random::new(settings::seed());
    let mut steps = 0;
    // Passes and devices share steps.
    let mut known = HashMap::new();
    for case in 0..settings::count(30) {
        let samples = [40, 3000, 70_000][case as usize % 3] + random.below(100);
        let Drawn { shape, spec, mode, dtype } = Drawn::new(&mut random, samples);
        let (shape, spec) = (&shape[..], &spec);
        let Ok(geometry) = Geometry::new(spec, mode, shape) else { continue };
        for caps in [0, 1, 3, 4].map(|index| zoo()[index]) {
            for (plan, _) in plans((spec, shape, &geometry), dtype, &caps, Strategy::default()) {
                for step in &plan.steps {
                    let key = format!("{:?} {:?} {:?} {:?}", step.kernel, step.constants, step.params, step.workgroups);
                    let &mut (lanes, iterations) = known.entry(key).or_insert_with(|| work(step));
                    let width = step.kernel.element().map_or(1, |element| u64::from(element.width));
                    let units = geometry.len() as u64 / width + 1;
                    let channels =
                        1024 * (geometry.channels.max(data::state(spec).weight.map_or(0, |w| w.len())) as u64 + 1);
                    let place = || {
                        format!(
                            "{spec:?} {mode:?} {shape:?} {dtype} {caps:?}
{plan}{step:?}"
                        )
                    };
                    assert!(lanes <= 8 * units + channels, "{lanes} lanes for {units} units: {}", place());
                    let most = 64 * width * (units + channels);
                    assert!(iterations <= most, "{iterations} iterations, {most} at most: {}", place());
                    steps += 1;
                }
            }
        }
    }
    assert!(steps > 200, "only {steps} steps");
}

/// Random layers, shapes, types, devices and strategies.
#[test]
fn nothing_is_addressed_beyond_a_binding() {
    let mut random = Random::new(settings::seed());
    let mut steps = 0;
    for _ in 0..settings::count(600) {
        let samples = 1 + random.below(5);
        let drawn = Drawn::new(&mut random, samples);
        let caps = zoo()[random.below(zoo().len())];
        let strategies = strategies(&caps);
        let strategy = strategies[random.below(strategies.len())];
        steps += check(&drawn, &caps, strategy, &mut random);
    }
    assert!(steps > 1000, "only {steps} steps");
    println!("{steps} steps");
}
