//! Why the shaders may run without wgpu's checks: what they address, invocation by invocation, lies in what the step binds,
//! the tails of rows, tensors and dispatches included, and no invocation loops more often than its step says.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use gpunorm::Plan;
use gpunorm::unstable::{
    Binding, Caps, Geometry, Gradient, Kernel, Modulation, Neighbours, Params, Pass, Scratch, Step, Strategy, Takes,
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
fn bound(
    (plan, step): (&Plan, &Step),
    spec: &NormSpec,
    (beside, planes, dtype): (Neighbours, usize, DType),
    binding: Binding,
) -> u64 {
    let state = data::state(spec);
    let floats = |array: &Option<ndarray::ArrayD<f64>>| 4 * array.as_ref().map_or(0, |array| array.len()) as u64;
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
        Binding::AddBefore if beside.by_channel => ((planes * dtype.size()) as u64).next_multiple_of(16),
        Binding::AddBeforeGradient => 4 * planes as u64,
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
fn faults(
    (plan, step): (&Plan, &Step),
    spec: &NormSpec,
    beside: (Neighbours, usize, DType),
    form: Subgroups,
) -> Vec<String> {
    let shader = SHADERS.with_borrow_mut(|shaders| shaders.of(step));
    let bounds: Vec<(u32, u64)> = step
        .kernel
        .bindings()
        .into_iter()
        .map(|(binding, _)| (binding as u32, bound((plan, step), spec, beside, binding)))
        .collect();
    let mut faults = vec![];
    let [x, y] = step.workgroups;
    for number in chosen(x * y, 16) {
        for index in 0..step.constant("WORKGROUP").unwrap() {
            let mut beyond = None;
            let mut visit = |access: Access| {
                let bytes = bounds.iter().find(|(binding, _)| *binding == access.binding).expect("it is bound").1;
                if access.first + access.bytes > bytes {
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
    let by_channel = batched && !trailing;
    match shape.iter().sum::<usize>() % 4 {
        0 => {
            let modulation = modulation(true, DType::F32);
            Neighbours { add_before: true, by_channel: false, keeps_sum: true, modulation, add_after: true }
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
    let parts = saved.as_ref().map_or(1, |plan| plan.steps.first().map_or(1, |step| step.params.segments.max(1)));
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
        let (modulation, addend) = (true, neighbours.by_channel);
        let pass = Pass::Backward { parts, input, parameters, modulation, addend, neighbours };
        Plan::new(&activated, geometry, dtype, caps, strategy, pass).ok()
    };
    let added = saved.as_ref().and_then(|_| {
        let mut plan = through(Neighbours { add_after: true, ..Neighbours::NONE })?;
        plan.steps.retain(|step| matches!(step.kernel, Kernel::BackwardOutput { .. }));
        Some(plan)
    });
    let addend = saved.as_ref().filter(|_| neighbours.by_channel).and_then(|_| {
        let mut plan = through(Neighbours { by_channel: true, ..Neighbours::NONE })?;
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
    let backwards = WANTED.into_iter().filter_map(backward).chain(added).chain(addend).map(alone);
    for (mut plan, beside) in backwards.chain(modulated.map(|plan| (plan, modulation))) {
        let Scratch { moments, statistics, axes, .. } = scratch.unwrap_or_default();
        plan.scratch = Scratch { moments, statistics, axes, ..plan.scratch };
        plans.push((plan, beside));
    }
    plans
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

fn check(spec: &NormSpec, mode: Mode, shape: &[usize], dtype: DType, caps: &Caps, strategy: Strategy) -> usize {
    let Ok(geometry) = Geometry::new(spec, mode, shape) else { return 0 };
    let mut steps = 0;
    for (plan, beside) in plans((spec, shape, &geometry), dtype, caps, strategy) {
        for step in &plan.steps {
            for form in forms(step) {
                let beside = (beside, geometry.samples * geometry.channels, dtype);
                let faults = faults((&plan, step), spec, beside, form);
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
        let Drawn { shape, spec, mode, dtype } = Drawn::new(&mut random, samples);
        let caps = zoo()[random.below(zoo().len())];
        let strategies = strategies(&caps);
        let strategy = strategies[random.below(strategies.len())];
        steps += check(&spec, mode, &shape, dtype, &caps, strategy);
    }
    assert!(steps > 1000, "only {steps} steps");
    println!("{steps} steps");
}
