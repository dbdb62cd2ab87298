//! Backward plans, followed by hand: every dx is written once, every sum is of the elements that the definition says, and
//! nothing is addressed beyond what the plan has sized.

use std::collections::HashMap;

use gpunorm::Plan;
use gpunorm::unstable::{
    Binding, Caps, CoefficientsFrom, Geometry, Gradient, KeptSums, Kernel, Pass, Source, Step, Strategy,
};
use gpunorm::{BatchNorm, DType, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm, SwitchableNorm};
use proptest::prelude::*;

use super::plans::{
    OfColumn, address, applied, check_limits, everywhere, expected, of_columns, slice_start, spec_has_weight, summed,
    zoo,
};
use super::{data, settings};

/// Elements, as a plan treats them.
#[derive(Default)]
struct Trace {
    /// How often each one's dx is written.
    dx: HashMap<usize, usize>,
    /// By entry of `sums`: the step that wrote it last, and the elements in it.
    sums: HashMap<u32, (usize, Vec<usize>)>,
    /// By row of the statistics: the elements behind its coefficients.
    sets: HashMap<u32, Vec<usize>>,
    /// By parameter: the elements behind its gradient.
    parameters: HashMap<u32, Vec<usize>>,
}

impl Trace {
    fn write(&mut self, element: usize) {
        *self.dx.entry(element).or_default() += 1;
    }

    fn sum(&mut self, step: usize, entry: u32, element: usize) {
        self.sum_all(step, entry, [element]);
    }

    fn sum_all(&mut self, step: usize, entry: u32, elements: impl IntoIterator<Item = usize>) {
        let sum = self.sums.entry(entry).or_default();
        if sum.0 != step {
            *sum = (step, vec![]);
        }
        sum.1.extend(elements);
    }

    fn join(&self, entries: impl Iterator<Item = u32>) -> Vec<usize> {
        entries.flat_map(|entry| self.sums[&entry].1.clone()).collect()
    }
}

/// Teams of a step, launched at least.
fn teams(step: &Step, live: u32) -> std::ops::Range<u32> {
    let launched = step.workgroups[0] * step.workgroups[1] * step.teams();
    assert!(live <= launched, "{step:?}: {live} teams wanted, {launched} launched");
    0..live
}

/// Teams for two kinds of items, by the contract in shaders/part/common/items.wgsl.
fn items(step: &Step, [firsts, seconds]: [u32; 2]) -> u32 {
    let teams = |count: u32, alone| if step.constant(alone) == Some(1) { count.div_ceil(step.lanes()) } else { count };
    teams(firsts, "FIRST_PER_LANE") + teams(seconds, "SECOND_PER_LANE")
}

/// A unit of a row that a lane holds.
struct Held {
    unit: u32,
    /// Sums kept of the row, if any, and the one that it is in.
    sums: u32,
    sum: u32,
}

fn held(step: &Step, keep: KeptSums, lane: u32, k: u32) -> Option<Held> {
    let p = &step.params;
    let held = if keep == KeptSums::Channels {
        let constant = |name| step.constant(name).unwrap();
        let (lanes, units, summed) = (constant("CHANNEL_LANES"), constant("CHANNEL_UNITS"), constant("SUM_LANES"));
        let exchanged = step.constant("SUBGROUP").unwrap_or(step.lanes());
        assert!(summed.is_power_of_two() && summed <= exchanged && lanes.is_multiple_of(summed), "{step:?}");
        let (place, places) = (lane / lanes, step.lanes() / lanes);
        let (channel, within) = (place + k / units * places, lane % lanes + k % units * lanes);
        let channel_units = p.units / p.step;
        let parts = lanes / summed;
        let sum = channel * parts + lane % lanes / summed;
        let exists = place < places && channel < p.step && within < channel_units;
        exists.then_some(Held { unit: channel * channel_units + within, sums: p.step * parts, sum })
    } else {
        Some(Held { unit: lane + k * step.lanes(), sums: 1, sum: 0 })
    };
    held.filter(|held| held.unit < p.units)
}

fn follow(plan: &Plan, dtype: DType) -> Trace {
    let mut trace = Trace::default();
    for (number, step) in plan.steps.iter().enumerate() {
        // 0 is nobody's.
        let number = number + 1;
        let (p, start) = (&step.params, slice_start(step, dtype));
        let writes_dx = step.kernel.bindings().contains(&(Binding::Dx, true));
        let width = step.kernel.element().map_or(1, |element| element.width);
        let elements = |unit: u32| (0..width).map(move |k| start + (unit * width + k) as usize);
        // Of a kernel that owns blocks of whole rows.
        let blocks = || {
            teams(step, p.rows * p.segments).flat_map(|team| {
                let (block, chunk) = (team % p.rows, team / p.rows);
                let samples = chunk * p.segment_units..((chunk + 1) * p.segment_units).min(p.lines);
                let columns = block * p.run..((block + 1) * p.run).min(p.units);
                columns.flat_map(move |column| samples.clone().map(move |sample| (chunk, column, sample)))
            })
        };
        match step.kernel {
            Kernel::BackwardRow { units, keep, .. } => {
                let held: Vec<Held> = (0..step.lanes())
                    .flat_map(|lane| (0..units).filter_map(move |k| held(step, keep, lane, k)))
                    .collect();
                for team in teams(step, p.rows.div_ceil(p.segment_units)) {
                    for row in (team * p.segment_units..(team + 1) * p.segment_units).filter(|&row| row < p.rows) {
                        for (&Held { unit, sums, sum }, k) in
                            held.iter().flat_map(|held| (0..width).map(move |k| (held, k)))
                        {
                            let element = start + (address(step, row, unit) * width + k) as usize;
                            trace.write(element);
                            trace.sets.entry(p.first + row).or_default().push(element);
                            match keep {
                                KeptSums::Nothing => {}
                                KeptSums::Rows | KeptSums::Channels => {
                                    trace.sum(number, p.partial_first + row * sums + sum, element);
                                }
                                KeptSums::Columns => {
                                    let entry = p.partial_first + (team * p.units + unit) * width + k;
                                    trace.sum(number, entry, element);
                                }
                            }
                        }
                    }
                }
            }
            Kernel::BackwardRows { units, from, .. } => {
                assert!(p.segment_units <= units, "{step:?}: it holds fewer rows");
                assert!(from != CoefficientsFrom::Computed || p.run == p.units, "{step:?}: no whole rows");
                for (chunk, column, row) in blocks() {
                    for (k, element) in elements(row * p.units + column).enumerate() {
                        if from != CoefficientsFrom::Statistics {
                            trace.write(element);
                        }
                        if from == CoefficientsFrom::Computed {
                            trace.sets.entry(p.first + row).or_default().push(element);
                        }
                        let entry = p.partial_first + (chunk * p.units + column) * width + k as u32;
                        trace.sum(number, entry, element);
                    }
                }
            }
            Kernel::BackwardColumns { .. } | Kernel::BackwardApplyColumns { .. } => {
                let sums = matches!(step.kernel, Kernel::BackwardColumns { .. });
                for OfColumn { element, partial, .. } in of_columns(step, dtype) {
                    if sums {
                        trace.sum(number, partial, element);
                    }
                    if writes_dx {
                        trace.write(element);
                    }
                }
            }
            Kernel::BackwardSums { units, .. } => {
                assert!(p.tiles * units * step.lanes() >= p.segment_units, "{step:?}: its tiles miss units");
                for team in teams(step, p.rows * p.segments) {
                    let (row, segment) = (team % p.rows, team / p.rows);
                    let entry = p.partial_first + row * p.partial_row + segment * p.partial_segment;
                    let elements = summed(step, row, segment).into_iter().map(|element| start + element as usize);
                    elements.clone().filter(|_| writes_dx).for_each(|element| trace.write(element));
                    trace.sum_all(number, entry, elements);
                }
            }
            Kernel::BackwardLines { units: together, .. } => {
                assert!(p.tiles * together * step.lanes() >= p.segment_units, "{step:?}: its tiles miss units");
                let blocks = p.lines.div_ceil(together);
                for team in teams(step, p.rows * p.segments) {
                    let (row, segment) = (team % p.rows, team / p.rows);
                    let (sample, line) = (row / blocks, row % blocks * together);
                    let own = segment * p.segment_units..((segment + 1) * p.segment_units).min(p.units);
                    for line in line..(line + together).min(p.lines) {
                        let line = sample * p.lines + line;
                        let entry = p.partial_first + line * p.partial_row + segment * p.partial_segment;
                        trace.sum_all(number, entry, own.clone().flat_map(|unit| elements(line * p.units + unit)));
                    }
                }
            }
            Kernel::BackwardCombine { .. } => {
                assert!(p.channel_run > 0 && p.sum_parts > 0 && p.run > 0, "{step:?}: it divides by 0");
                let together = step.constant("SEVERAL_CHANNELS") == Some(1);
                let channels = if together { p.channels.div_ceil(Kernel::NEIGHBOURS) } else { p.channels };
                teams(step, items(step, [p.rows, channels]));
                for row in 0..p.rows {
                    let set = trace.join((0..p.units).map(|i| address(step, row, i)));
                    trace.sets.insert(row, set);
                }
                for channel in 0..p.channels {
                    let entry = |i| {
                        let run = i / p.channel_run * p.channel_run_stride + i % p.channel_run;
                        p.channel_first + channel * p.channel_stride + run
                    };
                    let elements = trace.join((0..p.channel_units).map(entry));
                    let parameter = trace.parameters.entry(channel).or_default();
                    if step.constant("ACCUMULATE") == Some(0) {
                        parameter.clear();
                    }
                    parameter.extend(elements);
                }
            }
            Kernel::BackwardAxes { .. } => {
                teams(step, items(step, [p.samples, p.channels]));
                for channel in 0..p.channels {
                    let rows = (0..p.samples).map(|sample| sample * p.channels + channel);
                    let entries = rows.flat_map(|row| (0..p.sum_parts).map(move |part| row * p.sum_parts + part));
                    let parameter = trace.join(entries);
                    trace.parameters.insert(channel, parameter);
                }
            }
            Kernel::BackwardMix { .. } => {
                teams(step, items(step, [p.rows, 1]));
                for row in 0..p.rows {
                    let set = trace.join((0..p.sum_parts).map(|part| row * p.sum_parts + part));
                    trace.sets.insert(row, set);
                }
            }
            Kernel::BackwardApply { .. } => {
                for team in teams(step, p.rows * p.segments) {
                    let (row, begin) = (team / p.segments, team % p.segments * p.segment_units);
                    for unit in begin..(begin + p.segment_units).min(p.units) {
                        let inside = applied(step, row * p.units + unit, width);
                        inside.for_each(|element| trace.write(start + element as usize));
                    }
                }
            }
            other => panic!("a backward with {other:?}"),
        }
    }
    trace
}

fn check(spec: &NormSpec, mode: Mode, shape: &[usize], dtype: DType, caps: &Caps, strategy: Strategy) -> bool {
    let Ok(geometry) = Geometry::new(spec, mode, shape) else { return false };
    let pass = Pass::backward(2, Gradient::Replaced, Gradient::Replaced);
    let Ok(plan) = Plan::new(spec, &geometry, dtype, caps, strategy, pass) else { return false };
    check_limits(&plan, caps, &geometry, dtype);
    let trace = follow(&plan, dtype);
    let place = || format!("{spec:?} {mode:?} {shape:?} {caps:?} {strategy:?}\n{plan}");
    for element in 0..geometry.len() {
        assert_eq!(trace.dx.get(&element), Some(&1), "element {element} of {}", place());
    }
    assert_eq!(trace.dx.len(), geometry.len(), "{}", place());
    let sorted = |elements: Option<&Vec<usize>>| {
        let mut elements = elements.cloned().unwrap_or_default();
        elements.sort_unstable();
        elements
    };
    let of = |choose: &dyn Fn((usize, usize)) -> usize, number: usize| -> Vec<usize> {
        (0..geometry.len()).filter(|&element| choose(expected(spec, &geometry, element)) == number).collect()
    };
    if geometry.source == Source::Input {
        for row in 0..geometry.rows {
            assert_eq!(sorted(trace.sets.get(&(row as u32))), of(&|(row, _)| row, row), "row {row} of {}", place());
        }
    }
    let parameters = data::state(spec).weight.filter(|_| spec_has_weight(spec)).map_or(0, |weight| weight.len());
    for number in 0..parameters {
        let found = sorted(trace.parameters.get(&(number as u32)));
        assert_eq!(found, of(&|(_, parameter)| parameter, number), "parameter {number} of {}", place());
    }
    let most = trace.sums.keys().max().map_or(0, |&most| 8 * (u64::from(most) + 1));
    assert!(most <= plan.scratch.bytes(Binding::Sums), "{:?}, {}", plan.scratch, place());
    true
}

proptest! {
    #![proptest_config(settings::cases(256))]

    #[test]
    fn every_gradient_is_written_once(
        n in 1usize..6, c in 1usize..9, h in 1usize..10, w in 1usize..12, rank in 2usize..5,
        spec in 0usize..64, dtype in 0usize..3, training: bool,
    ) {
        let shape = &[n, c, h, w][..rank];
        everywhere(shape, (spec, dtype, training), check);
    }
}

/// The property above must have something to hold for.
#[test]
fn backward_plans_exist_where_they_should() {
    for caps in &zoo()[..5] {
        let shape = [4, 6, 9, 7];
        let specs = data::channel_specs(6).into_iter().chain(data::trailing_specs(&shape, 2));
        for spec in specs.chain(data::layout_specs(&shape)) {
            for mode in [Mode::Training, Mode::Evaluation] {
                for dtype in [DType::F32, DType::F16] {
                    assert!(check(&spec, mode, &shape, dtype, caps, Strategy::default()), "{spec:?} {mode:?} {caps:?}");
                }
            }
        }
    }
}

/// Tensors of several bindings, by limits alone: what can go forward can come back.
#[test]
fn large_tensors_have_plans_both_ways() {
    let cases: [(NormSpec, DType, &[usize]); 24] = [
        (LayerNorm::new([4096]).into(), DType::F32, &[65_536, 4096]),
        (LayerNorm::new([1001]).into(), DType::BF16, &[400_000, 1001]),
        (RmsNorm::new([16_384]).into(), DType::F16, &[32_768, 16_384]),
        (RmsNorm::new([65_536]).into(), DType::F16, &[4096, 65_536]),
        (RmsNorm::new([65_536]).into(), DType::F32, &[4096, 65_536]),
        (BatchNorm::new(256).into(), DType::F16, &[393_216, 256]),
        (BatchNorm::new(256).into(), DType::F32, &[393_216, 256]),
        (BatchNorm::new(512).into(), DType::F32, &[12_000, 512, 49]),
        (BatchNorm::new(512).into(), DType::F16, &[12_000, 512, 49]),
        (GroupNorm::new(32, 512).into(), DType::F32, &[256, 512, 32, 32]),
        // Rows of odd lengths, of which no few together end where a binding may begin.
        (InstanceNorm::new(64).affine(true).into(), DType::F32, &[1, 64, 1021, 1021]),
        (InstanceNorm::new(64).into(), DType::F16, &[2, 64, 1021, 1021]),
        (BatchNorm::new(64).into(), DType::F32, &[1, 64, 1021, 1021]),
        (GroupNorm::new(32, 64).into(), DType::BF16, &[3, 64, 1021, 1021]),
        (LayerNorm::new([1_000_001]).into(), DType::F32, &[40, 1_000_001]),
        (RmsNorm::new([1_000_001]).into(), DType::F16, &[80, 1_000_001]),
        (SwitchableNorm::new(3).into(), DType::F16, &[1, 3, 255, 255]),
        (SwitchableNorm::new(2).into(), DType::BF16, &[1, 2, 257, 9]),
        (SwitchableNorm::new(4).into(), DType::F16, &[1, 4, 3001]),
        // Loops that grow with what a unit gathers.
        (LayerNorm::new([8192]).into(), DType::F16, &[3, 8192]),
        (RmsNorm::new([2046]).into(), DType::BF16, &[512, 2046]),
        (GroupNorm::new(1, 334).into(), DType::F16, &[512, 334, 7, 7]),
        // An odd number of 16-bit columns.
        (BatchNorm::new(10_001).into(), DType::F16, &[1001, 10_001]),
        (BatchNorm::new(7).into(), DType::BF16, &[1, 7, 1031, 7]),
    ];
    for caps in &zoo()[..6] {
        for (spec, dtype, shape) in &cases {
            for mode in [Mode::Training, Mode::Evaluation] {
                let geometry = Geometry::new(spec, mode, shape).unwrap();
                for pass in [Pass::forward(true), Pass::backward(1, Gradient::Replaced, Gradient::Replaced)] {
                    let plan = Plan::new(spec, &geometry, *dtype, caps, Strategy::default(), pass);
                    let plan = plan.unwrap_or_else(|error| panic!("{spec:?} {shape:?} {pass:?} {caps:?}: {error}"));
                    check_limits(&plan, caps, &geometry, *dtype);
                }
            }
        }
    }
}
