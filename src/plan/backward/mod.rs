//! The steps of a backward: sums of dy and dy·x̂ over rows, coefficients and gradients of parameters from them, an apply.
//! Here is what they share, and the norms whose channels have a weight each; `rows` has those that go row by row,
//! `interleaved` what is other where planes interleave.

mod interleaved;
mod output;
mod rows;
mod sums;
mod switchable;

use std::ops::Range;

use self::sums::{Walk, writes_dx};
use crate::error::Result;
use crate::kernel::{Binding, Element, Kernel, Parameters};
use crate::plan::planner::Planner;
use crate::plan::steps::{COEFFICIENT_BYTES, Exchange, Plan, Scratch, Step};
use crate::spec::NormSpec;

impl Planner<'_> {
    /// The forward has left `parts` partial moments per row, of switchable norm.
    pub(super) fn backward(&self, parts: usize) -> Result<Plan> {
        let nothing = |why: &str| Plan { steps: vec![], scratch: Scratch::default(), why: why.into(), exchange: None };
        if self.geometry.is_empty() {
            // Others may have some.
            return Ok(Plan { exchange: self.exchange_sums(0, 0..0), ..nothing("an empty input") });
        }
        if !self.wants_dx() && self.gradients() == Parameters::None && !self.wants_parameters() {
            return Ok(nothing("no gradient is wanted"));
        }
        if let Some(held) = self.held_rows() {
            return self.backward_in_registers(held);
        }
        match self.spec {
            NormSpec::Switchable(norm) => self.backward_switchable(norm, parts),
            NormSpec::Layer(_) | NormSpec::Rms(_) if self.has_weight() && self.interleaves() => self.backward_lines(),
            NormSpec::Layer(_) | NormSpec::Rms(_) if self.has_weight() => self.backward_weighted_rows(),
            _ => match self.columns() {
                Some(element) => self.backward_columns(element),
                None => self.backward_planes(),
            },
        }
    }

    /// What the processes that share a batch tell one another after so many steps, if dx is wanted.
    fn exchange_sums(&self, after: usize, bytes: Range<u64>) -> Option<Exchange> {
        let binding = match self.spec {
            NormSpec::Switchable(_) => Binding::AxisGradients,
            _ => Binding::Coefficients,
        };
        self.geometry.shared.filter(|_| self.wants_dx()).map(|_| Exchange { after, binding, bytes })
    }

    /// The same of a batch norm's coefficients.
    fn exchange_coefficients(&self, after: usize) -> Option<Exchange> {
        self.exchange_sums(after, 0..self.geometry.channels as u64 * COEFFICIENT_BYTES)
    }

    /// Rows, or planes where channels of a row have weights of their own.
    fn backward_planes(&self) -> Result<Plan> {
        let geometry = self.geometry;
        let (samples, channels) = (geometry.samples, geometry.channels);
        let (weights, parameters) = (self.parameters(false).without_bias(), self.gradients());
        let mut scratch = Scratch::default();
        let mut steps = vec![];
        if self.takes_sums() {
            // How many planes share statistics one after the other, and how many sets of statistics there are.
            let (rows, run, period) = match self.spec {
                NormSpec::Group(norm) if weights != Parameters::None => {
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
            let of_parameters = match self.folded {
                Some(_) => (Walk::contiguous(segments), samples * channels),
                None => (of_channel, channels),
            };
            let sets = (!self.running() && self.wants_dx()).then_some(weights);
            steps.push(self.combine_sums(sets, parameters, of_set, of_parameters, segments)?);
            scratch.sums = (rows.count * segments) as u64;
            scratch.coefficients = geometry.rows as u64;
        }
        let exchange = self.exchange_coefficients(steps.len());
        if self.wants_dx() && !steps.iter().any(|step| writes_dx(step.kernel)) {
            let (rows, of) = self.apply_rows();
            steps.extend(self.backward_apply(rows, of, self.running())?);
        }
        Ok(Plan { why: self.reason(&steps, "rows"), steps, scratch, exchange })
    }

    /// Whether anything wanted depends on sums: gradients of parameters, and dx through the statistics.
    fn takes_sums(&self) -> bool {
        self.gradients() != Parameters::None || self.wants_dx() && !self.running()
    }

    fn reason(&self, steps: &[Step], what: &str) -> String {
        let constants = "running statistics are constants";
        match (self.running(), steps) {
            (true, [_]) => format!("{constants}: dy is scaled"),
            _ if !self.wants_dx() => format!("sums of {what} for the parameters alone"),
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
        let (weights, parameters) = (self.parameters(false).without_bias(), self.gradients());
        let mut scratch = Scratch::default();
        let mut steps = vec![];
        if self.takes_sums() {
            let dx = self.dx_beside_sums(self.statistics(), element);
            let scaled_by = if self.running() { Parameters::Weight } else { Parameters::None };
            let kernel = Kernel::BackwardColumns { element, parameters: scaled_by, from: self.statistics(), dx };
            let constants: Vec<_> = dx.then(|| self.accumulate_dx()).into_iter().collect();
            let (sums, chunks) = self.column_steps(kernel, element, (1, channels), &constants)?;
            steps.extend(sums);
            let walk = Walk { first: 0, stride: channel, run: channel, run_stride: sample, units: channel * chunks };
            let sets = (!self.running() && self.wants_dx()).then_some(weights);
            steps.push(self.combine_sums(sets, parameters, walk, (walk, channels), 1)?);
            scratch.sums = (sample * chunks) as u64;
            scratch.coefficients = geometry.rows as u64;
        }
        let exchange = self.exchange_coefficients(steps.len());
        if self.wants_dx() && !steps.iter().any(|step| writes_dx(step.kernel)) {
            let running = self.running();
            let apply = Kernel::BackwardApplyColumns { element, parameters: weights, running };
            steps.extend(if element.writes() {
                self.column_steps(apply, element, (1, channels), &[self.accumulate_dx()])?.0
            } else {
                self.backward_apply(self.instances(), (1, channels), running)?
            });
        }
        Ok(Plan { why: self.reason(&steps, "columns"), steps, scratch, exchange })
    }
}
