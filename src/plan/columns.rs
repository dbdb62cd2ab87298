//! Where a row's values lie scattered, the tensor is lines of columns: of batch norm a line is a sample, and a column is one channel at
//! one position; where planes interleave, each sample has lines of its own, and a column is one plane.

use std::ops::Range;

use super::planner::{BUSY_SOFTWARE, Planner, Rows, index};
use super::steps::{MAX_ITERATIONS, MOMENTS_BYTES, SUM_BYTES, Step};
use crate::error::Result;
use crate::kernel::{CoefficientsFrom, Element, Kernel, Params, Team};
use crate::spec::NormSpec;

/// Spatial sizes below this are summed as columns (neighbouring channels in step) rather than plane by plane.
const COLUMN_SPATIAL: usize = 64;

/// What an invocation of a software adapter reads of each line: a line of its cache. Those of a subgroup are neighbours, which
/// it reads in step; wider blocks do not fit the cache while they are gone through column by column.
const BLOCK_BYTES: usize = 64;
/// Units of its rows, where it looks up what these have.
const BLOCK_OF_ROWS: usize = 128;
/// Lines of a chunk, so that what is looked up once per column and chunk is little.
const CHUNK: usize = 512;

/// A tensor's lines.
#[derive(Clone, Copy)]
struct Lines {
    /// How many there are of each sample whose columns are its own.
    count: usize,
    /// Elements of each.
    len: usize,
    /// Such samples in the tensor.
    samples: usize,
}

impl Planner<'_> {
    /// How columns would be loaded, where the norm is better seen as columns. An odd number of 16-bit ones is only read so.
    pub(super) fn columns(&self) -> Option<Element> {
        let geometry = self.geometry;
        let suits = matches!(self.spec, NormSpec::Batch(_))
            && geometry.spatial < COLUMN_SPATIAL
            // A column is of all samples, which may not have what is each one's.
            && self.folded.is_none()
            && matches!(self.strategy.team, None | Some(Team::Invocation));
        suits.then(|| self.element_of_lines())
    }

    pub(super) fn element_of_lines(&self) -> Element {
        let single = Element { dtype: self.dtype, width: 1 };
        self.column_element(self.lines().len, 4).unwrap_or(single)
    }

    fn lines(&self) -> Lines {
        let geometry = self.geometry;
        let planes = geometry.samples * geometry.channels;
        match geometry.interleaved {
            1 => Lines { count: geometry.samples, len: geometry.channels * geometry.spatial, samples: 1 },
            len => Lines { count: geometry.spatial, len, samples: planes / len },
        }
    }

    /// Steps over all columns, and the chunks that these are cut into. The statistics of column, or plane, `r` are
    /// `(r / run) mod period`.
    pub(super) fn column_steps(
        &self,
        kernel: Kernel,
        element: Element,
        (run, period): (usize, usize),
        constants: &[(&'static str, u32)],
    ) -> Result<(Vec<Step>, usize)> {
        let Lines { count, len, samples } = self.lines();
        let slices = match self.interleaves() {
            true => self.slices_of_samples()?,
            false => self.slices(Rows { count, len, parameter: self.geometry.parameter })?,
        };
        // Chunks so long that what is kept of them fits a buffer.
        let kept = match kernel {
            Kernel::ForwardColumns { .. } => self.scratch_limit(MOMENTS_BYTES) / (len * samples),
            Kernel::BackwardColumns { .. } => self.scratch_limit(SUM_BYTES) / (len * samples),
            _ => usize::MAX,
        };
        // Slices may end with a chunk that is short; samples' chunks are all of one length.
        let short = if self.interleaves() { 0 } else { slices.len() };
        let least = count.div_ceil(kept.saturating_sub(short).max(1));
        let (mut steps, mut chunks) = (vec![], 0);
        for slice in slices {
            let first = slice.start;
            let mut step = self.column_step(kernel, element, slice, (least, chunks * len), constants.to_vec())?;
            let parts = step.params.lines.div_ceil(step.params.segment_units);
            if self.interleaves() {
                // Those of a plane are neighbours.
                step.params.first = index(first, "rows")?;
                step.params.partial_first = index(first * parts as usize, "partial sums")?;
                (step.params.partial_row, step.params.partial_segment) = (parts, 1);
                chunks = parts as usize;
            } else {
                chunks += parts as usize;
            }
            step.params.statistics_run = index(run, "rows")?;
            step.params.statistics_period = index(period, "rows")?;
            steps.push(step);
        }
        Ok((steps, chunks))
    }

    /// A step whose teams own a block of columns in a chunk of these lines, or of the lines of these planes' samples: of `least` lines
    /// where there are as many; of rows that are whole, of just as many. What it keeps comes after `kept` others.
    pub(super) fn column_step(
        &self,
        kernel: Kernel,
        element: Element,
        slice: Range<usize>,
        (least, kept): (usize, usize),
        mut constants: Vec<(&'static str, u32)>,
    ) -> Result<Step> {
        let Lines { count, len, samples: all } = self.lines();
        let (lines, samples, bytes) = match self.interleaves() {
            true => (count, slice.len() / len, self.bytes(&slice, count)),
            false => (slice.len(), 1, self.bytes(&slice, len)),
        };
        let held = if self.caps.software { Kernel::COLUMN_UNITS } else { kernel.units_at_once() } as usize;
        let units = len / element.width as usize;
        // Of all samples, so that chunks are as long in every slice of them.
        let all = lines * all;
        let (block, chunk) = if self.caps.software {
            let block = match kernel {
                Kernel::BackwardRows { .. } => BLOCK_OF_ROWS,
                _ => BLOCK_BYTES / (element.width as usize * self.dtype.size()),
            };
            let block = block.min(units);
            let busy = all / BUSY_SOFTWARE.div_ceil(units.div_ceil(block));
            (block, CHUNK.min(busy))
        } else {
            // Neighbouring invocations read neighbouring units, together. Each chunk that is summed costs partial moments.
            (1, all / self.busy_lanes(kernel.bytes_at_once()).div_ceil(units))
        };
        let iterations = MAX_ITERATIONS as usize / 4;
        let (block, chunk) = match kernel {
            // At most as many rows as it holds the coefficients of; all of their columns, if it finds these itself.
            Kernel::BackwardRows { from: CoefficientsFrom::Computed, .. } => (units, least),
            Kernel::BackwardRows { .. } => (block, least),
            _ => {
                let chunk = chunk / held * held;
                let chunk = chunk.clamp(2 * held, (iterations / block).max(2 * held)).max(least);
                let chunk = chunk.next_multiple_of(held);
                (block.min((iterations / chunk).max(1)), chunk)
            }
        };
        let chunks = samples * lines.div_ceil(chunk);
        let inner = if self.interleaves() { 1 } else { self.geometry.spatial };
        let params = self.with_samples(self.planes().count, self.instance_params(1)?)?;
        let params = Params {
            rows: index(units.div_ceil(block), "channels")?,
            units: index(units, "channels")?,
            run: index(block, "channels")?,
            segments: index(chunks, "samples")?,
            segment_units: index(chunk, "samples")?,
            partial_first: index(kept, "partial sums")?,
            partial_row: 1,
            partial_segment: index(len, "channels")?,
            lines: index(lines, "samples")?,
            inner: index(inner, "spatial positions")?,
            statistics_run: 1,
            ..params
        };
        let held_whole = chunk.is_multiple_of(kernel.units_at_once() as usize);
        let full = held_whole && lines.is_multiple_of(chunk) && units.is_multiple_of(block);
        constants.push(("FULL", u32::from(full)));
        self.step(kernel, params, constants, bytes)
    }
}
