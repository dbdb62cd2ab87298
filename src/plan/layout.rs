//! Tensors whose rows lie apart, and outputs in the place of what they are made of, as kernels see them.

use std::ops::Range;

use super::planner::{Planner, Rows, index};
use super::steps::{Layout, Pass, Pitched};
use crate::error::Result;
use crate::kernel::{Binding, Kernel, Params};
use crate::spec::Activation;
use crate::spec::strides::Pitch;

impl Planner<'_> {
    /// Whether no row is split by units of so many elements, nor begins within one.
    pub(super) fn in_units(&self, len: usize, width: usize) -> bool {
        let whole = |elements: usize| elements.is_multiple_of(width);
        let apart = |Pitched { input, output, gradient, .. }: Pitched| {
            let pitches = [input, output, gradient];
            pitches.into_iter().flat_map(|Pitch { first, row, group }| [first, row, group]).all(whole)
        };
        whole(len) && self.layout.pitched.is_none_or(apart)
    }

    /// Whether these rows of all tensors fit a binding each, in so many bytes.
    pub(super) fn rows_fit(&self, rows: Rows, range: &Range<usize>, limit: u64) -> bool {
        let Some(Pitched { period, input, output, gradient }) = self.layout.pitched else { return true };
        let bytes = |pitch: Pitch| self.aligned(pitch.span(rows.len, period, range));
        [input, output, gradient, contiguous(rows.len, period)]
            .into_iter()
            .map(bytes)
            .all(|bytes| bytes.end - bytes.start <= limit)
    }

    /// Has the uniform say where the rows of each tensor are that `kernel` binds for these `bytes` of a contiguous tensor; and the
    /// bytes of each.
    pub(super) fn pitches(
        &self,
        kernel: Kernel,
        bytes: &Range<u64>,
        params: &mut Params,
    ) -> Result<Option<[Range<u64>; 3]>> {
        let (Some(pitched), Some(element)) = (self.layout.pitched, kernel.element()) else { return Ok(None) };
        let (size, width) = (self.dtype.size() as u64, element.width as usize);
        let len = self.geometry.row_len;
        let row = |byte: u64| (byte / size) as usize / len;
        let rows = row(bytes.start)..row(bytes.end);
        let period = pitched.period;
        // Behind an activation, what is taken for dy but in the first step is contiguous.
        let behind = matches!(self.pass, Pass::Backward { .. }) && self.spec.activation() != Activation::Identity;
        let gradient = if behind { contiguous(len, period) } else { pitched.gradient };
        let place = |pitch: Pitch| {
            let bytes = self.aligned(pitch.span(len, period, &rows));
            let units = |elements: usize| index(elements / width, "a tensor");
            // Row 0 may lie before the binding.
            let start = units(pitch.first)?.wrapping_sub((bytes.start / element.bytes()) as u32);
            Ok(([start, units(pitch.row)?, units(pitch.group)?], bytes))
        };
        let (input, output, gradient) = (place(pitched.input)?, place(pitched.output)?, place(gradient)?);
        params.pitch_period = index(period, "rows")?;
        [params.input_start, params.input_row, params.input_group] = input.0;
        [params.output_start, params.output_row, params.output_group] = output.0;
        [params.gradient_start, params.gradient_row, params.gradient_group] = gradient.0;
        Ok(Some([input.1, output.1, gradient.1]))
    }

    /// The overrides that follow from where the tensors of a kernel lie.
    pub(super) fn layout_constants(&self, kernel: Kernel) -> Vec<(&'static str, u32)> {
        let Layout { in_place, pitched } = self.layout;
        let replaces = |read, written| {
            let bindings = kernel.bindings();
            bindings.contains(&(read, false)) && bindings.contains(&(written, true))
        };
        let in_place = in_place && (replaces(Binding::X, Binding::Y) || replaces(Binding::Dy, Binding::Dx));
        let pitched = pitched.is_some() && kernel.element().is_some();
        let constants = [("IN_PLACE", in_place), ("PITCHED", pitched)];
        constants.into_iter().filter(|&(_, on)| on).map(|(name, _)| (name, 1)).collect()
    }

    /// The bytes of these elements, from where a binding may begin on.
    fn aligned(&self, elements: Range<usize>) -> Range<u64> {
        let [start, end] = [elements.start, elements.end].map(|element| (element * self.dtype.size()) as u64);
        start - start % self.caps.alignment..end.next_multiple_of(4)
    }
}

/// Of rows of `len` that lie one after the other.
fn contiguous(len: usize, period: usize) -> Pitch {
    Pitch { first: 0, row: len, group: len * period }
}
