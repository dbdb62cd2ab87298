//! Backwards of planes that interleave: their sums; and of layer and RMS norm over channels that come first, where a line's
//! elements, one of each of a sample's rows, share their weight.

use super::sums::Walk;
use crate::error::Result;
use crate::kernel::{Kernel, Parameters, StatisticsFrom};
use crate::plan::planner::{Planner, Rows, index};
use crate::plan::steps::{Plan, Scratch, Step};

impl Planner<'_> {
    /// Sums of planes, and how many there are of each of `rows`, which are planes or several of them. Row `r` of `rows` uses statistics `(r / run) mod period`.
    pub(super) fn interleaved_sums(
        &self,
        rows: Rows,
        from: StatisticsFrom,
        weighted: bool,
        (run, period): (usize, usize),
        extra: &[(&'static str, u32)],
    ) -> Result<(Vec<Step>, usize)> {
        let element = self.element_of_lines();
        let scaled = weighted || from == StatisticsFrom::Running;
        let parameters = if scaled { Parameters::Weight } else { Parameters::None };
        let dx = self.dx_beside_sums(from, element);
        let kernel = Kernel::BackwardColumns { element, parameters, from, dx };
        let mut constants = extra.to_vec();
        constants.extend(weighted.then_some(("BY_LINE", 1)));
        constants.extend(self.by_sample());
        constants.extend(dx.then(|| self.accumulate_dx()));
        let each = self.planes_of_each(rows);
        let (steps, parts) = self.column_steps(kernel, element, (run * each, period), &constants)?;
        Ok((steps, parts * each))
    }

    /// Sums of rows for dx, and of lines for the parameters; one combine of both, an apply.
    pub(super) fn backward_lines(&self) -> Result<Plan> {
        let rows = self.rows();
        let (mut steps, mut scratch) = (vec![], Scratch::default());
        let (mut sets, mut of_set, mut segments) = (None, Walk::NOWHERE, 1);
        if self.wants_dx() {
            (steps, segments) = self.sums(rows, StatisticsFrom::Stored, true, (1, rows.count), &[])?;
            (sets, of_set) = (Some(Parameters::None), Walk::contiguous(segments));
            scratch.coefficients = rows.count as u64;
        }
        let first = of_set.units * rows.count;
        let mut kept = first;
        let mut of_lines = (Walk::NOWHERE, 0);
        let wants_lines = self.gradients() != Parameters::None;
        if wants_lines {
            let (places, channels) = (self.geometry.interleaved, rows.len);
            let samples = rows.count / places;
            let lines = Rows { count: samples * channels, len: places, ..rows };
            let (mut sums, parts) =
                self.segmented(lines, false, &[("ACROSS", 1), ("OWN_STATISTICS", 1)], |team, element, units| {
                    let (parameters, from) = (Parameters::None, StatisticsFrom::Stored);
                    Kernel::BackwardSums { team, element, units, parameters, from, dx: false }
                })?;
            for step in &mut sums {
                step.params.lines = index(channels, "channels")?;
                step.params.partial_first = index(first + step.params.partial_first as usize, "partial sums")?;
            }
            steps.extend(sums);
            kept += lines.count * parts;
            of_lines = match self.folded {
                Some(_) => (Walk { first, ..Walk::contiguous(parts) }, samples * channels),
                None => (Walk { first, ..Walk::planes(channels, parts, samples * parts) }, channels),
            };
        }
        scratch.sums = kept as u64;
        steps.push(self.combine_sums(sets, self.gradients(), of_set, of_lines, segments)?);
        steps.extend(self.backward_apply(rows, (1, rows.count), false)?);
        let why = match (self.wants_dx(), wants_lines) {
            (true, true) => "sums of rows and of lines, combine, apply",
            (true, false) => "sums of rows, combine, apply",
            (false, _) => "sums of lines for the parameters alone",
        };
        Ok(Plan { steps, scratch, why: why.into(), exchange: None })
    }
}
