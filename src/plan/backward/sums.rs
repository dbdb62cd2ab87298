//! What all backwards are made of: sums, the combine of them, the apply.

use crate::error::Result;
use crate::kernel::{Binding, Element, Kernel, Parameters, Params, StatisticsFrom};
use crate::plan::planner::{Planner, Rows, index};
use crate::plan::steps::{Gradient, Pass, Step};
use crate::spec::NormSpec;

/// Where a combine finds the sums of each set and of each channel: runs of `run` neighbours, `run_stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Walk {
    pub first: usize,
    pub stride: usize,
    pub run: usize,
    pub run_stride: usize,
    pub units: usize,
}

impl Walk {
    pub const NOWHERE: Walk = Walk { first: 0, stride: 0, run: 1, run_stride: 0, units: 0 };

    /// `units` neighbours for each.
    pub fn contiguous(units: usize) -> Walk {
        Walk { first: 0, stride: units, run: units, run_stride: 0, units }
    }

    /// Of a channel's planes, the `parts` neighbours that each sample has; `units` in all.
    pub fn planes(channels: usize, parts: usize, units: usize) -> Walk {
        Walk { first: 0, stride: parts, run: parts, run_stride: channels * parts, units }
    }

    /// One in each of `chunks` rows of `columns` sums.
    pub fn columns(first: usize, columns: usize, chunks: usize) -> Walk {
        Walk { first, stride: 1, run: 1, run_stride: columns, units: chunks }
    }
}

impl Planner<'_> {
    /// Whether anybody wants dx.
    pub(super) fn wants_dx(&self) -> bool {
        !matches!(self.pass, Pass::Backward { input: Gradient::Unwanted, .. })
    }

    /// Whether sums of dy leave dx on their way: where the statistics are constants it is dy, scaled.
    pub(super) fn dx_beside_sums(&self, from: StatisticsFrom, element: Element) -> bool {
        from == StatisticsFrom::Running && element.writes() && self.wants_dx()
    }

    /// Whether anybody wants gradients of parameters, and there are any.
    pub(super) fn wants_parameters(&self) -> bool {
        let wanted = !matches!(self.pass, Pass::Backward { parameters: Gradient::Unwanted, .. });
        wanted && (self.spec.has_weight() || matches!(self.spec, NormSpec::Switchable(_)))
    }

    /// Whether anybody wants the gradients of what modulates the outputs.
    pub(super) fn wants_modulation(&self) -> bool {
        matches!(self.pass, Pass::Backward { modulation: true, .. })
    }

    /// The parameters whose gradients somebody wants: where they are multiplied out, these.
    pub(super) fn gradients(&self) -> Parameters {
        let wanted = self.wants_parameters() && self.spec.has_weight();
        let wanted = wanted || self.folded.is_some() && self.wants_modulation();
        if wanted { self.parameters(false) } else { Parameters::None }
    }

    /// The override of a kernel that writes dx.
    pub(super) fn accumulate_dx(&self) -> (&'static str, u32) {
        ("ACCUMULATE", u32::from(matches!(self.pass, Pass::Backward { input: Gradient::Added, .. })))
    }

    /// The override of a kernel that writes gradients of parameters.
    pub(super) fn accumulate(&self) -> (&'static str, u32) {
        ("ACCUMULATE", u32::from(matches!(self.pass, Pass::Backward { parameters: Gradient::Added, .. })))
    }

    /// The same, if it writes these; of parameters that are multiplied out, they are scratch.
    pub(super) fn accumulates(&self, parameters: Parameters) -> Option<(&'static str, u32)> {
        let own = || if self.folded.is_some() { ("ACCUMULATE", 0) } else { self.accumulate() };
        (parameters != Parameters::None).then(own)
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
        if self.interleaves() {
            return self.interleaved_sums(rows, from, weighted, (run, period), extra);
        }
        let own = self.by_sample().into_iter().chain([("WEIGHTED", u32::from(weighted))]);
        let constants: Vec<_> = extra.iter().copied().chain(own).collect();
        // A unit of two rows has not one row's weights, and is nobody's to write.
        let writes = from == StatisticsFrom::Running && self.wants_dx();
        let share = !weighted && !writes;
        let (mut steps, segments) = self.segmented(rows, share, &constants, |team, element, units| {
            let parameters = match (weighted, from) {
                (true, _) => self.parameters(self.quads(rows, element)).without_bias(),
                (false, StatisticsFrom::Running) => Parameters::Weight,
                (false, _) => Parameters::None,
            };
            let dx = self.dx_beside_sums(from, element);
            Kernel::BackwardSums { team, element, units, parameters, from, dx }
        })?;
        for step in &mut steps {
            step.constants.extend(writes_dx(step.kernel).then(|| self.accumulate_dx()));
            step.params.statistics_run = index(run, "rows")?;
            step.params.statistics_period = index(period, "rows")?;
        }
        Ok((steps, segments))
    }

    /// Coefficients of the sets, whose sums these weights are missing from, if any; and the gradients of `parameters`,
    /// one per channel.
    pub(super) fn combine_sums(
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
        // Of a set's planes, those of a group have neighbouring weights; a modulated batch norm's have each sample's.
        let weight_stride = match self.spec {
            NormSpec::Group(_) => 1,
            NormSpec::Batch(_) if self.folded.is_some() => geometry.channels,
            _ => 0,
        };
        // A batch norm's sets are of all samples.
        let sets_of_sample = match self.spec {
            NormSpec::Batch(_) => geometry.rows,
            _ => geometry.rows / self.folded.unwrap_or(1).max(1),
        };
        // Of a shared batch sums remain sums, of which the means of all shares are made.
        let row_len = if geometry.shared.is_some() { 1 } else { geometry.row_len };
        let params = Params {
            rows: index(rows, "rows")?,
            row_len: index(row_len, "a row")?,
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
            weight_stride: index(weight_stride, "parameters")?,
            sample_rows: index(sets_of_sample.max(1), "rows")?,
            sample_stride: index(self.parameter_count(), "parameters")?,
            ..self.params()
        };
        let of_a_team = if of_channel.run == 1 { Kernel::NEIGHBOURS as usize } else { 1 };
        let kinds = [(rows, of_set.units), (channels.div_ceil(of_a_team), of_channel.units)];
        let (team, size, alone) = self.items_team(kinds, 1);
        let mut constants = vec![
            ("SEVERAL_CHANNELS", u32::from(of_channel.run == 1)),
            ("CONTIGUOUS", u32::from(of_set.run == of_set.units)),
        ];
        constants.extend(alone);
        constants.extend(self.by_sample());
        if sets.is_some() {
            constants.push(self.centered());
        }
        constants.extend(self.accumulates(parameters));
        self.sized_step(Kernel::BackwardCombine { team, sets, parameters }, params, constants, 0..0, size)
    }

    /// dx from coefficients; row `r` uses `(r / run) mod period`.
    pub(super) fn backward_apply(&self, rows: Rows, of: (usize, usize), running: bool) -> Result<Vec<Step>> {
        if !self.wants_dx() {
            return Ok(vec![]);
        }
        let (element, constants) = (self.element_of_lines(), vec![self.accumulate_dx()]);
        if self.interleaves() && element.writes() {
            let parameters = self.parameters(false).without_bias();
            let kernel = Kernel::BackwardApplyColumns { element, parameters, running };
            return self.interleaved_apply(kernel, element, constants);
        }
        let kernel = move |team, element, parameters: Parameters| {
            let parameters = parameters.without_bias();
            Kernel::BackwardApply { team, element, parameters, running }
        };
        self.apply(rows, of, &constants, kernel)
    }
}

pub(super) fn writes_dx(kernel: Kernel) -> bool {
    kernel.bindings().contains(&(Binding::Dx, true))
}
