//! The steps of a backward: sums of dy and dy·x̂ over rows, coefficients and gradients of parameters from them, an apply.
//! Here is what they share, and the norms whose channels have a weight each; `rows` has those that go row by row.

use super::fit::{Rows, index};
use super::planner::Planner;
use super::{Pass, Plan, Scratch, Step};
use crate::error::Result;
use crate::kernel::{Binding, Element, Kernel, PER_ELEMENT, PER_ROW, Parameters, Params, StatisticsFrom};
use crate::spec::NormSpec;
use crate::spec::geometry::Source;

mod rows;

/// Where a combine finds the sums of each set and of each channel: runs of `run` neighbours, `run_stride` apart.
#[derive(Clone, Copy)]
struct Walk {
    first: usize,
    stride: usize,
    run: usize,
    run_stride: usize,
    units: usize,
}

impl Walk {
    const NOWHERE: Walk = Walk { first: 0, stride: 0, run: 1, run_stride: 0, units: 0 };

    /// `units` neighbours for each.
    fn contiguous(units: usize) -> Walk {
        Walk { first: 0, stride: units, run: units, run_stride: 0, units }
    }

    /// Of a channel's planes, the `parts` neighbours that each sample has; `units` in all.
    fn planes(channels: usize, parts: usize, units: usize) -> Walk {
        Walk { first: 0, stride: parts, run: parts, run_stride: channels * parts, units }
    }

    /// One in each of `chunks` rows of `columns` sums.
    fn columns(first: usize, columns: usize, chunks: usize) -> Walk {
        Walk { first, stride: 1, run: 1, run_stride: columns, units: chunks }
    }
}

impl Planner<'_> {
    /// The forward has left `parts` partial moments per row, of switchable norm.
    pub fn backward(&self, parts: usize) -> Result<Plan> {
        if self.geometry.is_empty() {
            return Ok(Plan { steps: vec![], scratch: Scratch::default(), why: "an empty input".into() });
        }
        if let Some(held) = self.held_rows() {
            return self.backward_in_registers(held);
        }
        match self.spec {
            NormSpec::Switchable(norm) => self.backward_switchable(norm, parts),
            NormSpec::Layer(_) | NormSpec::Rms(_) if self.spec.has_weight() => self.backward_weighted_rows(),
            _ => match self.columns() {
                Some(element) => self.backward_columns(element),
                None => self.backward_planes(),
            },
        }
    }

    pub(super) fn accumulate(&self) -> (&'static str, u32) {
        ("ACCUMULATE", u32::from(matches!(self.pass, Pass::Backward { accumulate: true, .. })))
    }

    /// The override of a kernel that writes these parameters' gradients.
    pub(super) fn accumulates(&self, parameters: Parameters) -> Option<(&'static str, u32)> {
        (parameters != Parameters::None).then(|| self.accumulate())
    }

    fn running(&self) -> bool {
        self.geometry.source == Source::Running
    }

    fn statistics(&self) -> StatisticsFrom {
        if self.running() { StatisticsFrom::Running } else { StatisticsFrom::Stored }
    }

    /// Rows, or planes where channels of a row have weights of their own.
    fn backward_planes(&self) -> Result<Plan> {
        let geometry = self.geometry;
        let (samples, channels) = (geometry.samples, geometry.channels);
        let parameters = self.parameters(false);
        let mut scratch = Scratch::default();
        let mut steps = vec![];
        if !self.running() || parameters != Parameters::None {
            // How many planes share statistics one after the other, and how many sets of statistics there are.
            let (rows, run, period) = match self.spec {
                NormSpec::Group(norm) if parameters != Parameters::None => {
                    (self.planes(), channels / norm.groups, geometry.rows)
                }
                _ if self.running() => (self.instances(), 1, channels),
                _ => (self.instances(), 1, geometry.rows),
            };
            let (sums, segments) = self.sums(rows, self.statistics(), false, (run, period), &[])?;
            steps.extend(sums);
            let of_channel = Walk::planes(channels, segments, samples * segments);
            let of_set = match self.spec {
                NormSpec::Batch(_) => of_channel,
                _ => Walk::contiguous(run * segments),
            };
            let sets = (!self.running()).then(|| parameters.without_bias());
            steps.push(self.combine_sums(sets, parameters, of_set, (of_channel, channels), segments)?);
            scratch.sums = (rows.count * segments) as u64;
            scratch.coefficients = geometry.rows as u64;
        }
        if !steps.iter().any(|step| writes_dx(step.kernel)) {
            let (rows, run) = self.applied();
            let period = if self.running() { channels } else { geometry.rows };
            steps.extend(self.backward_apply(rows, (run, period), self.running())?);
        }
        Ok(Plan { why: self.reason(&steps, "rows"), steps, scratch })
    }

    fn reason(&self, steps: &[Step], what: &str) -> String {
        let constants = "running statistics are constants";
        match (self.running(), steps) {
            (true, [_]) => format!("{constants}: dy is scaled"),
            (true, [first, ..]) if writes_dx(first.kernel) => format!("{constants}: dx and sums of {what}, combine"),
            (true, _) => format!("{constants}: sums of {what}, combine, apply"),
            (false, _) => format!("sums of {what}, combine, apply"),
        }
    }

    /// Batch norm seen as columns.
    fn backward_columns(&self, element: Element) -> Result<Plan> {
        let geometry = self.geometry;
        let (channels, channel) = (geometry.channels, geometry.spatial);
        let sample = channels * channel;
        let parameters = self.parameters(false);
        let mut scratch = Scratch::default();
        let mut steps = vec![];
        if !self.running() || parameters != Parameters::None {
            let weights = if self.running() { Parameters::Weight } else { Parameters::None };
            let kernel = Kernel::BackwardColumns { element, parameters: weights, from: self.statistics() };
            let constants: Vec<_> = writes_dx(kernel).then(|| self.accumulate()).into_iter().collect();
            let (sums, chunks) = self.column_steps(kernel, element, &constants)?;
            steps.extend(sums);
            let walk = Walk { first: 0, stride: channel, run: channel, run_stride: sample, units: channel * chunks };
            let sets = (!self.running()).then(|| parameters.without_bias());
            steps.push(self.combine_sums(sets, parameters, walk, (walk, channels), 1)?);
            scratch.sums = (sample * chunks) as u64;
            scratch.coefficients = geometry.rows as u64;
        }
        if !steps.iter().any(|step| writes_dx(step.kernel)) {
            let (running, parameters) = (self.running(), parameters.without_bias());
            let apply = Kernel::BackwardApplyColumns { element, parameters, running };
            steps.extend(if element.writes() {
                self.column_steps(apply, element, &[self.accumulate()])?.0
            } else {
                self.backward_apply(self.instances(), (1, channels), running)?
            });
        }
        Ok(Plan { why: self.reason(&steps, "columns"), steps, scratch })
    }

    /// Sums over pieces of `rows`, weighted or not, and how many pieces each has.
    pub(super) fn sums(
        &self,
        rows: Rows,
        from: StatisticsFrom,
        weighted: bool,
        (run, period): (usize, usize),
        extra: &[(&'static str, u32)],
    ) -> Result<(Vec<Step>, usize)> {
        let constants = [extra, &[("WEIGHTED", u32::from(weighted))]].concat();
        let (mut steps, segments) = self.segmented(rows, &constants, |team, element, units| {
            let parameters = match (weighted, from) {
                (true, _) => self.parameters(self.quads(rows, element)).without_bias(),
                (false, StatisticsFrom::Running) => Parameters::Weight,
                (false, _) => Parameters::None,
            };
            Kernel::BackwardSums { team, element, units, parameters, from }
        })?;
        for step in &mut steps {
            step.constants.extend(writes_dx(step.kernel).then(|| self.accumulate()));
            step.params.statistics_run = index(run, "rows")?;
            step.params.statistics_period = index(period, "rows")?;
        }
        Ok((steps, segments))
    }

    /// Coefficients of the sets, whose sums these weights are missing from, if any; and the gradients of `parameters`,
    /// one per channel.
    fn combine_sums(
        &self,
        sets: Option<Parameters>,
        parameters: Parameters,
        of_set: Walk,
        of_channels: (Walk, usize),
        sum_parts: usize,
    ) -> Result<Step> {
        let geometry = self.geometry;
        let rows = if sets.is_some() { geometry.rows } else { 0 };
        let (of_channel, channels) = if parameters == Parameters::None { (Walk::NOWHERE, 0) } else { of_channels };
        let parameter = geometry.parameter;
        let params = Params {
            rows: index(rows, "rows")?,
            row_len: index(geometry.row_len, "a row")?,
            units: index(of_set.units, "partial sums")?,
            row_stride: index(of_set.stride, "partial sums")?,
            run: index(of_set.run, "partial sums")?,
            run_stride: index(of_set.run_stride, "partial sums")?,
            channels: index(channels, "channels")?,
            channel_first: index(of_channel.first, "partial sums")?,
            channel_stride: index(of_channel.stride, "partial sums")?,
            channel_run: index(of_channel.run, "partial sums")?,
            channel_run_stride: index(of_channel.run_stride, "partial sums")?,
            channel_units: index(of_channel.units, "partial sums")?,
            sum_parts: index(sum_parts, "partial sums")?,
            statistics_run: 1,
            statistics_period: index(geometry.rows, "rows")?,
            period: index(parameter.period, "parameters")?,
            step: index(parameter.step, "parameters")?,
            inner: 1,
            ..self.params()
        };
        let of_a_team = if of_channel.run == 1 { Kernel::NEIGHBOURS as usize } else { 1 };
        let kinds = [(rows, of_set.units), (channels.div_ceil(of_a_team), of_channel.units)];
        let (team, size, alone) = self.items_team(kinds, 1);
        // Of a set's planes, those of a group have neighbouring weights.
        let affine = match self.spec {
            NormSpec::Group(_) if sets == Some(Parameters::Weight) => PER_ELEMENT,
            _ => PER_ROW,
        };
        let mut constants = vec![
            ("SEVERAL_CHANNELS", u32::from(of_channel.run == 1)),
            ("AFFINE", affine),
            ("CONTIGUOUS", u32::from(of_set.run == of_set.units)),
        ];
        constants.extend(alone);
        if sets.is_some() {
            constants.push(self.centered());
        }
        constants.extend(self.accumulates(parameters));
        self.sized_step(Kernel::BackwardCombine { team, sets, parameters }, params, constants, 0..0, size)
    }

    /// dx from coefficients; row `r` uses `(r / run) mod period`.
    pub(super) fn backward_apply(&self, rows: Rows, of: (usize, usize), running: bool) -> Result<Vec<Step>> {
        let kernel = move |team, element, parameters: Parameters| {
            let parameters = parameters.without_bias();
            Kernel::BackwardApply { team, element, parameters, running }
        };
        self.apply(rows, of, &[self.accumulate()], kernel)
    }
}

fn writes_dx(kernel: Kernel) -> bool {
    kernel.bindings().contains(&(Binding::Dx, true))
}
