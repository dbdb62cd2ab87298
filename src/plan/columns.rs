//! Batch norm where a channel's values lie scattered: the tensor seen as samples by columns, a column being one channel
//! at one position.

use std::ops::Range;

use super::planner::{BUSY_SOFTWARE, Planner, Rows, index};
use super::steps::{MAX_ITERATIONS, MOMENTS_BYTES, SUM_BYTES, Step};
use crate::error::Result;
use crate::kernel::{CoefficientsFrom, Element, Kernel, Params, StatisticsFrom, Team};
use crate::spec::NormSpec;

/// Spatial sizes below this are summed as columns (neighbouring channels in step) rather than plane by plane.
const COLUMN_SPATIAL: usize = 64;

/// Neighbouring units of one sample that an invocation of a software adapter owns: 2 KiB in one piece.
const BLOCK: usize = 128;
/// So many blocks keep the lanes of its cores busy: of a small tensor they are smaller.
const BUSY_BLOCKS: usize = 64;
/// Bytes that it may own, so that going through them column by column stays in its core's cache: while they are only
/// read, and while as many are written.
const READ_BYTES: usize = 64 << 10;
const WRITTEN_BYTES: usize = 32 << 10;

impl Planner<'_> {
    /// How columns would be loaded, where the norm is better seen as columns. An odd number of 16-bit ones is only read so.
    pub(super) fn columns(&self) -> Option<Element> {
        let geometry = self.geometry;
        let suits = matches!(self.spec, NormSpec::Batch(_))
            && geometry.spatial < COLUMN_SPATIAL
            && matches!(self.strategy.team, None | Some(Team::Invocation));
        let single = Element { dtype: self.dtype, width: 1 };
        suits.then(|| self.column_element(geometry.channels * geometry.spatial, 4).unwrap_or(single))
    }

    /// Steps over the columns of all samples, and the chunks that these are cut into.
    pub(super) fn column_steps(
        &self,
        kernel: Kernel,
        element: Element,
        constants: &[(&'static str, u32)],
    ) -> Result<(Vec<Step>, usize)> {
        let geometry = self.geometry;
        let len = geometry.channels * geometry.spatial;
        let samples = Rows { count: geometry.samples, len, parameter: geometry.parameter };
        let slices = self.slices(samples)?;
        // Chunks so long that what is kept of them fits a buffer.
        let kept = match kernel {
            Kernel::ForwardColumns { .. } => self.scratch_limit(MOMENTS_BYTES) / len,
            Kernel::BackwardColumns { .. } => self.scratch_limit(SUM_BYTES) / len,
            _ => usize::MAX,
        };
        let least = geometry.samples.div_ceil(kept.saturating_sub(slices.len()).max(1));
        let (mut steps, mut chunks) = (vec![], 0);
        for slice in slices {
            let step = self.column_step(kernel, element, slice, (least, chunks * len), constants.to_vec())?;
            chunks += step.params.segments as usize;
            steps.push(step);
        }
        Ok((steps, chunks))
    }

    /// A step whose teams own a block of columns in a chunk of these samples, of `least` of them where there are as many.
    /// What it keeps comes after `kept` others.
    pub(super) fn column_step(
        &self,
        kernel: Kernel,
        element: Element,
        slice: Range<usize>,
        (least, kept): (usize, usize),
        mut constants: Vec<(&'static str, u32)>,
    ) -> Result<Step> {
        let geometry = self.geometry;
        let samples = slice.len();
        let held = if self.caps.software { Kernel::COLUMN_UNITS } else { kernel.units_at_once() } as usize;
        let units = geometry.channels * geometry.spatial / element.width as usize;
        let reads = matches!(
            kernel,
            Kernel::ForwardColumns { .. } | Kernel::BackwardColumns { from: StatisticsFrom::Stored, .. }
        );
        let (block, chunk) = if self.caps.software {
            let block = (units * samples.div_ceil(2 * held)).div_ceil(BUSY_BLOCKS).min(BLOCK).min(units);
            let bytes = if reads { READ_BYTES } else { WRITTEN_BYTES };
            let busy = samples / BUSY_SOFTWARE.div_ceil(units.div_ceil(block));
            (block, (bytes / (16 * block)).min(busy))
        } else {
            // Neighbouring invocations read neighbouring units, together. Each chunk that is summed costs partial moments.
            (1, samples / self.busy_lanes(kernel.bytes_at_once()).div_ceil(units))
        };
        let iterations = MAX_ITERATIONS as usize / 4;
        let (block, chunk) = match kernel {
            // As many rows as it holds the coefficients of; all of their columns, if it finds these itself.
            Kernel::BackwardRows { units: held, from, .. } => {
                (if from == CoefficientsFrom::Computed { units } else { block }, held as usize)
            }
            _ => {
                let chunk = chunk / held * held;
                let chunk = chunk.clamp(2 * held, (iterations / block).max(2 * held)).max(least);
                let chunk = chunk.next_multiple_of(held);
                (block.min((iterations / chunk).max(1)), chunk)
            }
        };
        let params = Params {
            rows: index(units.div_ceil(block), "channels")?,
            first: index(slice.start, "samples")?,
            units: index(units, "channels")?,
            run: index(block, "channels")?,
            segments: index(samples.div_ceil(chunk), "samples")?,
            segment_units: index(chunk, "samples")?,
            partial_first: index(kept, "partial sums")?,
            samples: index(samples, "samples")?,
            channels: index(geometry.channels, "channels")?,
            inner: index(geometry.spatial, "spatial positions")?,
            statistics_run: 1,
            statistics_period: index(geometry.channels, "channels")?,
            ..self.params()
        };
        let full = samples.is_multiple_of(chunk) && units.is_multiple_of(block);
        constants.push(("FULL", u32::from(full)));
        self.step(kernel, params, constants, self.bytes(&slice, geometry.channels * geometry.spatial))
    }
}
