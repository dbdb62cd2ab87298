//! Planes that interleave: channels that come last, or places whose channels come first. What reads and writes tensors goes by
//! columns, and keeps what it finds of planes as if their elements were neighbours, so that all other steps are the same.

use std::ops::Range;

use super::planner::{Planner, Rows, index};
use super::steps::Step;
use crate::error::Result;
use crate::kernel::{Element, Kernel};

impl Planner<'_> {
    /// Whether planes interleave.
    pub(super) fn interleaves(&self) -> bool {
        self.geometry.interleaved > 1
    }

    /// Whole samples of planes by what one binding can cover, as ranges of planes.
    pub(super) fn slices_of_samples(&self) -> Result<Vec<Range<usize>>> {
        let (planes, together) = (self.planes(), self.geometry.interleaved);
        let samples = Rows { count: planes.count / together, len: planes.len * together, ..planes };
        let slices = self.slices(samples)?;
        Ok(slices.into_iter().map(|slice| slice.start * together..slice.end * together).collect())
    }

    /// Moments of planes, and how many there are of each of `rows`, which are planes or several of them.
    pub(super) fn interleaved_moments(&self, rows: Rows) -> Result<(Vec<Step>, usize)> {
        let element = self.element_of_lines();
        let kernel = Kernel::ForwardColumns { element, sum: self.beside().sum };
        let (steps, parts) = self.column_steps(kernel, element, (1, rows.count), &[self.centered()])?;
        Ok((steps, parts * self.planes_of_each(rows)))
    }

    /// Outputs by columns where there is such a kernel; of switchable norm from `parts` partial moments per instance.
    pub(super) fn interleaved_outputs(&self, parts: usize) -> Result<Option<Vec<Step>>> {
        let (from, beside, element) = (self.statistics(), self.beside(), self.element_of_lines());
        if !self.interleaves() || !element.writes() || !from.goes_by_columns(beside) {
            return Ok(None);
        }
        let kernel = Kernel::ForwardApplyColumns { element, parameters: self.parameters(false), from, beside };
        let constants = [self.output_constants(), self.mixed_constants(parts)].concat();
        let mut steps = self.interleaved_apply(kernel, element, constants)?;
        for step in &mut steps {
            step.params.parts = index(parts, "partial statistics")?;
        }
        Ok(Some(steps))
    }

    /// What a kernel makes of statistics or coefficients that are known.
    pub(super) fn interleaved_apply(
        &self,
        kernel: Kernel,
        element: Element,
        mut constants: Vec<(&'static str, u32)>,
    ) -> Result<Vec<Step>> {
        constants.extend(self.by_sample());
        constants.extend(self.spec.channels_first().then_some(("BY_LINE", 1)));
        let (_, of) = self.apply_rows();
        Ok(self.column_steps(kernel, element, of, &constants)?.0)
    }

    pub(super) fn planes_of_each(&self, rows: Rows) -> usize {
        self.planes().count / rows.count
    }
}
