//! Backwards of planes that interleave: their sums; and of layer and RMS norm over channels that come first, where a line's
//! elements, one of each of a sample's rows, share their weight.

use std::ops::Range;

use super::sums::Walk;
use crate::error::Result;
use crate::kernel::{Element, Kernel, Parameters, Params, StatisticsFrom};
use crate::plan::contiguous::Cut;
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
            let (samples, channels) = (rows.count / self.geometry.interleaved, rows.len);
            let (sums, parts) = self.sums_of_lines(rows, first)?;
            steps.extend(sums);
            kept += samples * channels * parts;
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

    /// Sums of each sample's channels, kept after `kept` others, and how many each has.
    fn sums_of_lines(&self, rows: Rows, kept: usize) -> Result<(Vec<Step>, usize)> {
        let (places, channels) = (self.geometry.interleaved, rows.len);
        // Statistics of each element take registers, as columns do.
        let element = self.column_element(places, 4).unwrap_or(Element { dtype: self.dtype, width: 1 });
        let units = places / element.width as usize;
        let [few, many] = Kernel::LINES;
        let together = if self.caps.software { many } else { few };
        let kernel = Kernel::BackwardLines { team: self.row_team(units), element, units: together };
        let blocks = channels.div_ceil(together as usize);
        let Cut { size, tiles, units: of_segment, segments } =
            self.cut(kernel, rows.count / places * blocks, units, together as usize);
        let full = units.is_multiple_of(segments * of_segment) && channels.is_multiple_of(together as usize);
        let step = |slice: Range<usize>| {
            let params = Params {
                rows: index(slice.len() / places * blocks, "channels")?,
                first: index(slice.start, "rows")?,
                row_len: index(places, "places")?,
                units: index(units, "places")?,
                lines: index(channels, "channels")?,
                tiles: index(tiles, "places")?,
                segments: index(segments, "places")?,
                segment_units: index(of_segment, "places")?,
                partial_first: index(kept + slice.start / places * channels * segments, "partial sums")?,
                partial_row: index(segments, "places")?,
                partial_segment: 1,
                ..self.params()
            };
            let bytes = self.bytes(&slice, channels);
            self.sized_step(kernel, params, vec![("FULL", u32::from(full))], bytes, size)
        };
        Ok((self.slices_of_samples()?.into_iter().map(step).collect::<Result<_>>()?, segments))
    }
}
