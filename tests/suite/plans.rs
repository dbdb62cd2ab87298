//! Plans over random inputs and a zoo of devices: every element is summed once and written once, every partial sum is
//! merged once, and no limit is passed. A plan is followed by hand here, team by team, without its planner's help.

use std::collections::HashMap;

use gpunorm::unstable::{
    Caps, Geometry, Gradient, Kernel, MAX_ITERATIONS, Pass, Route, Scratch, Source, StatisticsFrom, Step, Strategy,
    SubgroupSizes, Team,
};
use gpunorm::{BatchNorm, DType, InstanceNorm, LayerNorm, Mode, NormSpec, Plan};
use proptest::prelude::*;

use super::variants::VARYING;
use super::{data, settings};

/// Devices as they come: discrete, integrated, mobile, software, the defaults, and some with absurd limits.
pub fn zoo() -> Vec<Caps> {
    let base = Caps::WEBGPU;
    vec![
        base,
        Caps { software: true, max_workgroup: 1024, subgroup: Some(SubgroupSizes::of(8)), alignment: 32, ..base },
        Caps { software: true, subgroup: Some(SubgroupSizes::of(4)), ..base },
        Caps {
            max_workgroup: 1024,
            subgroup: Some(SubgroupSizes::of(32)),
            max_binding: 1 << 31,
            max_buffer: 1 << 50,
            alignment: 16,
            ..base
        },
        Caps { subgroup: Some(SubgroupSizes::of(64)), workgroup_storage: 32 << 10, alignment: 32, ..base },
        Caps { subgroup: Some(VARYING), workgroup_storage: 32 << 10, max_workgroup: 1024, ..base },
        Caps { max_workgroup: 128, workgroup_storage: 1 << 10, ..base },
        Caps { max_binding: 2 << 10, max_workgroups: 3, ..base },
        Caps { max_binding: 1 << 10, max_workgroups: 2, software: true, alignment: 32, ..base },
    ]
}

pub fn strategies(caps: &Caps) -> Vec<Strategy> {
    let mut all = vec![Strategy::default()];
    all.extend([1, 3, 64].map(|lanes| Strategy { lanes: Some(lanes), ..Strategy::default() }));
    for team in Team::ALL {
        if team != Team::Subgroup || caps.subgroup.is_some() {
            all.extend([None, Some(Route::Fused), Some(Route::Split)].map(|route| Strategy {
                route,
                team: Some(team),
                lanes: None,
            }));
        }
    }
    all
}

/// Where unit (or partial) `i` of `row` lies, by the contract in shaders/part/common/walk.wgsl.
pub fn address(step: &Step, row: u32, i: u32) -> u32 {
    let p = &step.params;
    if step.constant("CONTIGUOUS") == Some(1) {
        row * p.row_stride + i
    } else {
        row * p.row_stride + i / p.run * p.run_stride + i % p.run
    }
}

/// Numbers of all live teams of a step.
fn teams(step: &Step) -> std::ops::Range<u32> {
    let live = step.params.rows * step.params.segments.max(1);
    let launched = step.workgroups[0] * step.workgroups[1] * step.teams();
    assert!(live <= launched, "{step:?}: {live} teams wanted, {launched} launched");
    0..live
}

/// The first element of a step's slice of x.
pub fn slice_start(step: &Step, dtype: DType) -> usize {
    step.bytes.start as usize / dtype.size() + step.params.start as usize
}

/// The elements of unit `i` of an apply, in its slice: where units lie in two rows, the slice may begin within one.
pub fn applied(step: &Step, i: u32, width: u32) -> impl Iterator<Item = u32> + use<> {
    let across = step.constant("LOOKUP") == Some(2);
    let (before, end) = if across { (step.params.start % width, step.params.elements) } else { (0, u32::MAX) };
    (0..width).filter_map(move |k| (i * width + k).checked_sub(before)).filter(move |&element| element < end)
}

pub fn check_limits(plan: &Plan, caps: &Caps, geometry: &Geometry, dtype: DType) {
    let total = (geometry.len() * dtype.size()) as u64;
    for step in &plan.steps {
        let workgroup = step.constant("WORKGROUP").expect("a workgroup size");
        assert!(workgroup >= 1 && workgroup <= caps.max_workgroup, "{step:?}");
        if step.kernel.team() == Team::Workgroup {
            assert!(workgroup.is_power_of_two() && 16 * workgroup <= caps.workgroup_storage, "{step:?}");
        }
        if step.kernel.team() == Team::Subgroup {
            let (SubgroupSizes { min, max }, lanes) = (caps.subgroup.unwrap(), step.lanes());
            let constant = |name| step.constant(name).unwrap();
            assert!(constant("SUBGROUP") == min && constant("SUBGROUP_MAX") == max, "{step:?}");
            // Subgroups are whole, unless one is all of the workgroup.
            assert!(workgroup.is_multiple_of(max) || lanes == workgroup, "{step:?}");
            assert!(lanes.is_power_of_two() && (lanes <= min || lanes == workgroup), "{step:?}");
            let partials = constant("PARTIALS");
            assert!(partials == (lanes / min).max(1) && 16 * partials <= caps.workgroup_storage, "{step:?}");
        }
        assert!(step.workgroups.iter().all(|&count| (1..=caps.max_workgroups).contains(&count)), "{step:?}");
        assert!(step.iterations() <= u64::from(MAX_ITERATIONS), "{step:?}");
        assert!(step.bytes.end - step.bytes.start <= caps.max_binding, "{step:?}");
        assert!(step.bytes.start.is_multiple_of(caps.alignment), "{step:?}");
        assert!(step.bytes.end <= total.next_multiple_of(4), "{step:?}");
    }
    for binding in Scratch::BINDINGS {
        assert!(plan.scratch.bytes(binding) <= caps.max_binding.min(caps.max_buffer), "{:?}", plan.scratch);
    }
}

/// An element of a step's columns, by the contract in shaders/part/common/columns.wgsl.
pub struct OfColumn {
    /// In the tensor.
    pub element: usize,
    /// Of the statistics.
    pub row: u32,
    /// Where the weight is another from line to line, its line's.
    pub parameter: u32,
    /// Where a partial result with it is kept.
    pub partial: u32,
}

pub fn of_columns(step: &Step, dtype: DType) -> Vec<OfColumn> {
    let (p, start, width) = (&step.params, slice_start(step, dtype), step.kernel.element().unwrap().width);
    let (chunks, by_line) = (p.lines.div_ceil(p.segment_units), step.constant("BY_LINE") == Some(1));
    let mut all = vec![];
    for team in teams(step) {
        let (block, chunk) = (team % p.rows, team / p.rows);
        let (sample, chunk) = (chunk / chunks, chunk % chunks);
        let lines = chunk * p.segment_units..((chunk + 1) * p.segment_units).min(p.lines);
        let columns = block * p.run * width..((block + 1) * p.run).min(p.units) * width;
        for (column, line) in columns.flat_map(|column| lines.clone().map(move |line| (column, line))) {
            let plane = sample * p.units * width;
            let row = p.first + plane + column / p.inner;
            all.push(OfColumn {
                element: start + ((sample * p.lines + line) * p.units * width + column) as usize,
                row: row / p.statistics_run % p.statistics_period,
                parameter: if by_line { line } else { column / p.inner },
                partial: p.partial_first + (plane + column) * p.partial_row + chunk * p.partial_segment,
            });
        }
    }
    all
}

/// Elements and statistics, as a plan treats them.
#[derive(Default)]
struct Trace {
    /// By element: how often it was written, and by which statistics row and parameter.
    written: HashMap<usize, Vec<(u32, u32)>>,
    /// By partial: the elements summed in it.
    partials: HashMap<u32, Vec<usize>>,
    /// By statistics row: the partials merged into it.
    merged: HashMap<u32, Vec<u32>>,
}

fn parameter(step: &Step, row: u32, i: u32) -> u32 {
    let p = &step.params;
    row % p.period * p.step + i / p.inner
}

/// The row of an element of a slice, and its place in it, by the contract in shaders/part/common/places.wgsl.
fn place(step: &Step, element: u32) -> (u32, u32) {
    let p = &step.params;
    if step.constant("INTERLEAVED") != Some(1) {
        return (element / p.row_len, element % p.row_len);
    }
    let line = element / p.interleaved;
    (line / p.row_len * p.interleaved + element % p.interleaved, line % p.row_len)
}

/// The elements of the bound slice that the first of several steps sums up in a segment of a row: whole units, and in the
/// first segment the row's edges.
pub fn summed(step: &Step, row: u32, segment: u32) -> Vec<u32> {
    let (p, width) = (&step.params, step.kernel.element().map_or(1, |element| element.width));
    let begin = segment * p.segment_units;
    let units = begin..(begin + p.segment_units).min(p.units);
    let elements = |unit: u32| unit * width..(unit + 1) * width;
    if step.constant("SHARED_UNITS") != Some(1) {
        return units.flat_map(|i| elements(row * p.row_stride + i)).collect();
    }
    let (start, stop) = (row * p.row_len, (row + 1) * p.row_len);
    let (first, end) = (start.div_ceil(width), stop / width);
    let whole = units.map(|i| first + i).filter(|&unit| unit < end).flat_map(elements);
    let edges = (start..first * width).chain(end * width..stop).filter(|_| segment == 0);
    whole.chain(edges).collect()
}

fn follow(plan: &Plan, dtype: DType) -> Trace {
    let mut trace = Trace::default();
    let split = |step: &Step| matches!(step.kernel, Kernel::ForwardMoments { .. } | Kernel::ForwardColumns { .. });
    let split = plan.steps.iter().any(split);
    for step in &plan.steps {
        let (p, start) = (&step.params, slice_start(step, dtype));
        let width = step.kernel.element().map_or(1, |element| element.width);
        match step.kernel {
            Kernel::ForwardRow { units, .. } => {
                assert!(p.tiles * units * step.lanes() >= p.units, "{step:?}: its tiles miss units");
                for row in teams(step) {
                    let partial = p.partial_first + row;
                    trace.merged.entry(p.first + row).or_default().push(partial);
                    for i in 0..p.units {
                        for k in 0..width {
                            let element = start + (address(step, row, i) * width + k) as usize;
                            trace.partials.entry(partial).or_default().push(element);
                            let parameter = parameter(step, p.first + row, i * width + k);
                            trace.written.entry(element).or_default().push((p.first + row, parameter));
                        }
                    }
                }
            }
            Kernel::ForwardMoments { units, .. } => {
                assert!(p.tiles * units * step.lanes() >= p.segment_units, "{step:?}: its tiles miss units");
                for team in teams(step) {
                    let (row, segment) = (team % p.rows, team / p.rows);
                    let partial = p.partial_first + row * p.partial_row + segment * p.partial_segment;
                    let elements = summed(step, row, segment).into_iter().map(|element| start + element as usize);
                    trace.partials.entry(partial).or_default().extend(elements);
                }
            }
            Kernel::ForwardColumns { .. } => {
                for OfColumn { element, partial, .. } in of_columns(step, dtype) {
                    trace.partials.entry(partial).or_default().push(element);
                }
            }
            Kernel::ForwardApplyColumns { from, .. } => {
                for OfColumn { element, row, parameter, .. } in of_columns(step, dtype) {
                    trace.written.entry(element).or_default().push((row, parameter));
                    if from == StatisticsFrom::Mixed {
                        let parts = (0..p.parts).map(|part| row * p.parts + part);
                        trace.merged.entry(row).or_insert_with(|| parts.collect());
                    }
                }
            }
            Kernel::ForwardCombine { .. } => {
                for row in teams(step) {
                    trace.merged.entry(row).or_default().extend((0..p.units).map(|i| address(step, row, i)));
                }
            }
            Kernel::ForwardInstances { .. } if split => {
                for row in 0..p.samples * p.channels {
                    trace.merged.entry(row).or_default().extend((0..p.parts).map(|part| row * p.parts + part));
                }
            }
            Kernel::ForwardInstances { .. } | Kernel::ForwardAxes { .. } => {}
            Kernel::ForwardApply { from, .. } => {
                if from == StatisticsFrom::Mixed {
                    for row in p.first..p.first + p.elements / p.row_len {
                        trace.merged.entry(row).or_default().extend((0..p.parts).map(|part| row * p.parts + part));
                    }
                }
                for team in teams(step) {
                    let (row, begin) = (team / p.segments, team % p.segments * p.segment_units);
                    for i in begin..(begin + p.segment_units).min(p.units) {
                        // By row a team's units lie in its row; else the tensor is one stretch.
                        for local in applied(step, row * p.units + i, width) {
                            let element = start + local as usize;
                            let (row, i) = place(step, local);
                            let owner = p.first + row;
                            let parameter = parameter(step, owner, i);
                            trace
                                .written
                                .entry(element)
                                .or_default()
                                .push((owner / p.statistics_run % p.statistics_period, parameter));
                        }
                    }
                }
            }
            other => panic!("a forward with {other:?}"),
        }
    }
    trace
}

/// What the definition says: the statistics row and the parameter of an element.
pub fn expected(spec: &NormSpec, geometry: &Geometry, element: usize) -> (usize, usize) {
    let (c, s, interleaved) = (geometry.channels, geometry.spatial, geometry.interleaved);
    // As if a plane's elements were neighbours.
    let (line, column) = (element / interleaved, element % interleaved);
    let element = (line / s * interleaved + column) * s + line % s;
    let (sample, channel, position) = (element / (c * s), element / s % c, element % s);
    match spec {
        NormSpec::Batch(_) => (channel, channel),
        NormSpec::Layer(_) | NormSpec::Rms(_) => (sample, position),
        NormSpec::Instance(_) if geometry.source == Source::Running => (channel, channel),
        NormSpec::Instance(_) | NormSpec::Switchable(_) => (sample * c + channel, channel),
        NormSpec::Group(_) => {
            let groups = geometry.rows / geometry.samples;
            (sample * groups + channel / (c / groups), channel)
        }
        _ => unimplemented!("{}", spec.name()),
    }
}

fn check(spec: &NormSpec, mode: Mode, shape: &[usize], dtype: DType, caps: &Caps, strategy: Strategy) -> bool {
    let Ok(geometry) = Geometry::new(spec, mode, shape) else { return false };
    let Ok(plan) = Plan::forward(spec, &geometry, dtype, caps, strategy) else { return false };
    check_limits(&plan, caps, &geometry, dtype);
    let trace = follow(&plan, dtype);
    let affine = spec_has_weight(spec);
    for element in 0..geometry.len() {
        let written = trace.written.get(&element).map_or(&[][..], |written| written);
        assert_eq!(written.len(), 1, "element {element} of {spec:?} {shape:?} {caps:?} {strategy:?}\n{plan}");
        let (row, parameter) = expected(spec, &geometry, element);
        assert_eq!(written[0].0 as usize, row, "statistics of element {element}, {spec:?} {shape:?}\n{plan}");
        if affine {
            assert_eq!(written[0].1 as usize, parameter, "parameter of element {element}, {spec:?} {shape:?}\n{plan}");
        }
    }
    if geometry.source == Source::Input && !geometry.is_empty() {
        for row in 0..geometry.rows {
            let partials = trace.merged.get(&(row as u32)).map_or(&[][..], |merged| merged);
            let mut summed: Vec<usize> = partials.iter().flat_map(|partial| trace.partials[partial].clone()).collect();
            summed.sort_unstable();
            let wanted: Vec<usize> = (0..geometry.len()).filter(|&e| expected(spec, &geometry, e).0 == row).collect();
            assert_eq!(summed, wanted, "row {row} of {spec:?} {shape:?} {caps:?} {strategy:?}\n{plan}");
        }
        let most = trace.partials.keys().max().copied().unwrap_or(0);
        assert!(plan.scratch.moments == 0 || u64::from(most) < plan.scratch.moments, "{:?}", plan.scratch);
    }
    true
}

pub fn spec_has_weight(spec: &NormSpec) -> bool {
    !format!("{spec:?}").contains("affine: false")
}

type Check = fn(&NormSpec, Mode, &[usize], DType, &Caps, Strategy) -> bool;

/// Checks one of the layers that take `shape`, in one of the types and modes, on every device under every strategy.
pub fn everywhere(shape: &[usize], (spec, dtype, training): (usize, usize, bool), check: Check) {
    let mut specs = data::channel_specs(shape[1]);
    specs.extend((1..shape.len()).flat_map(|axis| data::trailing_specs(shape, axis)));
    specs.extend(data::layout_specs(shape));
    let spec = &specs[spec % specs.len()];
    let dtype = [DType::F32, DType::F16, DType::BF16][dtype];
    let mode = if training { Mode::Training } else { Mode::Evaluation };
    for caps in zoo() {
        for strategy in strategies(&caps) {
            check(spec, mode, shape, dtype, &caps, strategy);
        }
    }
}

proptest! {
    #![proptest_config(settings::cases(512))]

    #[test]
    fn every_element_is_visited_once(
        n in 1usize..6, c in 1usize..9, h in 1usize..10, w in 1usize..12, rank in 2usize..5,
        spec in 0usize..64, dtype in 0usize..3, training: bool,
    ) {
        let shape = &[n, c, h, w][..rank];
        everywhere(shape, (spec, dtype, training), check);
    }

    #[test]
    fn limits_hold_for_any_size(
        n in 1usize..3_000_000, c in 1usize..5000, s in 1usize..3_000_000, spec in 0usize..38, dtype in 0usize..3,
    ) {
        // Two of the three sizes at most are large, or nothing would fit anywhere.
        let shape = if n > s { [n, c, s % 64 + 1] } else { [n % 64 + 1, c, s] };
        let mut specs = data::channel_specs(c);
        specs.extend((1..3).flat_map(|axis| data::trailing_specs(&shape, axis)));
        specs.extend(data::layout_specs(&shape));
        let spec = &specs[spec % specs.len()];
        let dtype = [DType::F32, DType::F16, DType::BF16][dtype];
        for mode in [Mode::Training, Mode::Evaluation] {
            let Ok(geometry) = Geometry::new(spec, mode, &shape) else { continue };
            for caps in zoo() {
                for strategy in strategies(&caps) {
                    let (added, unwanted) = (Gradient::Added, Gradient::Unwanted);
                    let wanted = [(added, added), (added, unwanted), (unwanted, added)];
                    let backwards = wanted.map(|(input, parameters)| Pass::backward(3, input, parameters));
                    for plan in backwards.map(|pass| Plan::new(spec, &geometry, dtype, &caps, strategy, pass)) {
                        let Ok(plan) = plan else { continue };
                        check_limits(&plan, &caps, &geometry, dtype);
                        let bound_whole = (geometry.len() * dtype.size()) as u64 <= caps.max_binding;
                        assert!(plan.dispatches() <= 4 || !bound_whole, "{spec:?} {shape:?} {caps:?}\n{plan}");
                    }
                    if let Ok(plan) = Plan::forward(spec, &geometry, dtype, &caps, strategy) {
                        check_limits(&plan, &caps, &geometry, dtype);
                        let bound_whole = (geometry.len() * dtype.size()) as u64 <= caps.max_binding;
                        assert!(plan.dispatches() <= 3 || !bound_whole, "{spec:?} {shape:?} {caps:?}\n{plan}");
                    }
                }
            }
        }
    }
}

/// The properties above must have something to hold for.
#[test]
fn plans_exist_where_they_should() {
    for caps in &zoo()[..5] {
        let shape = [4, 6, 9, 7];
        for spec in data::channel_specs(6).into_iter().chain(data::layout_specs(&shape)) {
            for mode in [Mode::Training, Mode::Evaluation] {
                for dtype in [DType::F32, DType::F16] {
                    assert!(check(&spec, mode, &shape, dtype, caps, Strategy::default()), "{spec:?} {mode:?} {caps:?}");
                }
            }
        }
        // Large ones, followed by their limits alone.
        let large: [(NormSpec, &[usize]); 7] = [
            (LayerNorm::new([1024]).into(), &[16384, 1024]),
            (LayerNorm::new([1 << 20]).into(), &[1, 1 << 20]),
            (LayerNorm::new([3]).into(), &[10_000_000, 3]),
            (BatchNorm::new(256).into(), &[65536, 256]),
            (BatchNorm::new(1).into(), &[880_801, 1, 1, 1]),
            (BatchNorm::new(4).into(), &[1, 4, 183, 183]),
            (InstanceNorm::new(1).track_running_stats(true).into(), &[1_000_000, 1, 7]),
        ];
        for (spec, shape) in large {
            let geometry = Geometry::new(&spec, Mode::Training, shape).unwrap();
            let plan = Plan::forward(&spec, &geometry, DType::F32, caps, Strategy::default());
            check_limits(
                &plan.unwrap_or_else(|error| panic!("{spec:?} {shape:?} {caps:?}: {error}")),
                caps,
                &geometry,
                DType::F32,
            );
        }
    }
}

/// The follower must notice a plan that is off by one.
#[test]
fn a_wrong_plan_is_noticed() {
    let spec: NormSpec = BatchNorm::new(3).into();
    let geometry = Geometry::new(&spec, Mode::Training, &[4, 3, 20]).unwrap();
    let strategy = Strategy { route: Some(Route::Split), team: Some(Team::Workgroup), lanes: None };
    let plan = Plan::forward(&spec, &geometry, DType::F32, &Caps::WEBGPU, strategy).unwrap();
    let good = follow(&plan, DType::F32);
    assert!((0..geometry.len()).all(|element| good.written[&element].len() == 1));
    let mut wrong = plan.clone();
    wrong.steps[2].params.units -= 1;
    let trace = follow(&wrong, DType::F32);
    assert!((0..geometry.len()).any(|element| trace.written.get(&element).map(Vec::len) != Some(1)));
    let mut wrong = plan;
    wrong.steps[1].params.run_stride += 1;
    let trace = follow(&wrong, DType::F32);
    assert_ne!(trace.merged, good.merged);
}
