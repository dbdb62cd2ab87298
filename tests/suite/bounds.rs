//! Why the shaders may run without wgpu's checks: what they address, invocation by invocation, lies in what the step binds,
//! the tails of rows, tensors and dispatches included, and no invocation loops more often than its step says.

use std::cell::RefCell;

use gpunorm::caps::Caps;
use gpunorm::geometry::Geometry;
use gpunorm::kernel::{Binding, Params, Team};
use gpunorm::plan::{Pass, Plan, Scratch, Step};
use gpunorm::{DType, Mode, NormSpec, Strategy};

use super::data::{self, Random};
use super::interpreter::{Access, Shaders, Subgroups};
use super::plans::{strategies, zoo};

thread_local! {
    static SHADERS: RefCell<Shaders> = RefCell::default();
}

/// Bytes of what a step binds.
fn bound(plan: &Plan, step: &Step, spec: &NormSpec, binding: Binding) -> u64 {
    let state = data::state(spec);
    let floats = |array: &Option<ndarray::ArrayD<f64>>| 4 * array.as_ref().map_or(0, |array| array.len()) as u64;
    match binding {
        Binding::X | Binding::Y | Binding::Dy | Binding::Dx => step.bytes.end - step.bytes.start,
        Binding::Params => size_of::<Params>() as u64,
        Binding::Weight | Binding::WeightGradient => floats(&state.weight),
        Binding::Bias | Binding::BiasGradient => floats(&state.bias),
        Binding::RunningMean | Binding::RunningVar | Binding::NumBatchesTracked => floats(&state.running_mean),
        Binding::MeanWeight | Binding::VarWeight | Binding::MeanWeightGradient | Binding::VarWeightGradient => {
            floats(&state.mean_weight)
        }
        scratch => plan.scratch.bytes(scratch),
    }
}

/// Which of so many workgroups: all of few, else the first ones, the last ones and some between.
fn chosen(count: u32) -> Vec<u32> {
    if count <= 48 {
        return (0..count).collect();
    }
    let between = (1..16).map(|part| u64::from(count) * part / 16).map(|number| number as u32);
    let mut chosen: Vec<u32> = (0..8).chain(between).chain(count - 8..count).collect();
    chosen.dedup();
    chosen
}

/// Runs the invocations of `step` that [`chosen`] says; what is addressed beyond its bindings, and loops beyond its count.
fn faults(plan: &Plan, step: &Step, spec: &NormSpec, form: Subgroups) -> Vec<String> {
    let shader = SHADERS.with_borrow_mut(|shaders| shaders.of(step));
    let bounds: Vec<(u32, u64)> = step
        .kernel
        .bindings()
        .into_iter()
        .map(|(binding, _)| (binding as u32, bound(plan, step, spec, binding)))
        .collect();
    let mut faults = vec![];
    let [x, y] = step.workgroups;
    for number in chosen(x * y) {
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

/// The plans of a layer: of its forward, its saved forward and its backward.
fn plans(
    spec: &NormSpec,
    geometry: &Geometry,
    dtype: DType,
    caps: &Caps,
    strategy: Strategy,
) -> impl Iterator<Item = Plan> {
    let plan = |pass| Plan::new(spec, geometry, dtype, caps, strategy, pass).ok();
    let saved = plan(Pass::Forward { saves: true });
    let parts = saved.as_ref().map_or(1, |plan| plan.steps.first().map_or(1, |step| step.params.segments.max(1)));
    let parts = if matches!(spec, NormSpec::Switchable(_)) { parts as usize } else { 1 };
    let forward = plan(Pass::Forward { saves: false });
    let backward = saved.as_ref().and_then(|_| plan(Pass::Backward { parts, accumulate: true }));
    // What a saved forward leaves is bound whole by the backward.
    let scratch = saved.as_ref().map(|plan| plan.scratch);
    let backward = backward.map(|mut plan| {
        let Scratch { moments, statistics, axes, .. } = scratch.unwrap_or_default();
        plan.scratch = Scratch { moments, statistics, axes, ..plan.scratch };
        plan
    });
    [forward, saved, backward].into_iter().flatten()
}

fn check(spec: &NormSpec, mode: Mode, shape: &[usize], dtype: DType, caps: &Caps, strategy: Strategy) -> usize {
    let Ok(geometry) = Geometry::new(spec, mode, shape) else { return 0 };
    let mut steps = 0;
    for plan in plans(spec, &geometry, dtype, caps, strategy) {
        for step in &plan.steps {
            for form in [Subgroups::Whole, Subgroups::Half] {
                if form == Subgroups::Half && step.kernel.team() != Team::Subgroup {
                    continue;
                }
                let faults = faults(&plan, step, spec, form);
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

/// Random layers, shapes, types, devices and strategies.
#[test]
fn nothing_is_addressed_beyond_a_binding() {
    let mut random = Random::new(5);
    let mut pick = |count: usize| (random.uniform() * count as f64) as usize;
    let mut steps = 0;
    for _ in 0..600 {
        let shape = [1 + pick(5), 1 + pick(8), 1 + pick(9), 1 + pick(12)];
        let shape = &shape[..2 + pick(3)];
        let mut specs = data::channel_specs(shape[1]);
        specs.extend((1..shape.len()).flat_map(|axis| data::trailing_specs(shape, axis)));
        let spec = &specs[pick(specs.len())];
        let mode = [Mode::Training, Mode::Evaluation][pick(2)];
        let dtype = [DType::F32, DType::F16, DType::BF16][pick(3)];
        let caps = zoo()[pick(zoo().len())];
        let strategies = strategies(&caps);
        let strategy = strategies[pick(strategies.len())];
        steps += check(spec, mode, shape, dtype, &caps, strategy);
    }
    assert!(steps > 1000, "only {steps} steps");
    println!("{steps} steps");
}
