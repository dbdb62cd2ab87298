//! Batch norm where a channel's values lie scattered: the tensor seen as samples by columns, a column being one channel
//! at one position.

use super::fit::index;
use super::planner::{BUSY_GPU, BUSY_SOFTWARE, Planner};
use super::{MAX_ITERATIONS, Plan, Scratch, Step};
use crate::error::Result;
use crate::kernel::{Element, Kernel, Params, StatisticsFrom, Team};
use crate::spec::NormSpec;

/// Spatial sizes below this are summed as columns (neighbouring channels in step) rather than plane by plane.
const COLUMN_SPATIAL: usize = 64;

/// Bytes of a chunk of samples on software adapters.
const CHUNK_BYTES: u64 = 128 << 10;
/// Samples that an invocation holds in registers at once.
const HELD: usize = 8;

impl Planner<'_> {
    /// How columns would be loaded, where the norm is better seen as columns.
    pub(super) fn columns(&self) -> Option<Element> {
        let geometry = self.geometry;
        let suits = matches!(self.spec, NormSpec::Batch(_))
            && geometry.spatial < COLUMN_SPATIAL
            && matches!(self.strategy.team, None | Some(Team::Invocation))
            && self.tensor_bytes() <= self.binding_limit();
        if suits { self.widest(geometry.channels * geometry.spatial) } else { None }
    }

    pub(super) fn split_columns(&self, element: Element, why: String) -> Result<Plan> {
        let geometry = self.geometry;
        let (channel, sample) = (geometry.spatial, geometry.channels * geometry.spatial);
        let kernel = Kernel::ForwardColumns { element, units: HELD as u32 };
        let moments = self.column_step(kernel, element)?;
        let chunks = moments.params.segments as usize;
        let steps = vec![
            moments,
            self.combine(channel, channel, sample, channel * chunks)?,
            self.apply_columns(element, StatisticsFrom::Stored)?,
        ];
        let scratch = Scratch { moments: (sample * chunks) as u64, statistics: geometry.rows as u64, axes: 0 };
        Ok(Plan { steps, scratch, why: format!("{why}: columns' moments, combine, apply") })
    }

    pub(super) fn apply_columns(&self, element: Element, from: StatisticsFrom) -> Result<Step> {
        let parameters = self.parameters(false);
        self.column_step(Kernel::ForwardApplyColumns { element, parameters, from }, element)
    }

    /// A step whose teams own a unit of columns in a chunk of samples.
    fn column_step(&self, kernel: Kernel, element: Element) -> Result<Step> {
        let geometry = self.geometry;
        let units = geometry.channels * geometry.spatial / element.width as usize;
        let wanted = if self.caps.software {
            // Neighbouring teams run one after the other there: what they share has to be in the cache still.
            BUSY_SOFTWARE.div_ceil(units).max(usize::try_from(self.tensor_bytes() / CHUNK_BYTES).unwrap_or(usize::MAX))
        } else {
            (64 * BUSY_GPU).div_ceil(units)
        };
        let wanted = wanted.min(geometry.samples.div_ceil(2 * HELD));
        let tiles = geometry.samples.div_ceil(wanted * HELD).min(MAX_ITERATIONS as usize / (4 * HELD));
        let params = Params {
            rows: index(units, "channels")?,
            units: index(units, "channels")?,
            tiles: index(tiles, "samples")?,
            segments: index(geometry.samples.div_ceil(tiles * HELD), "samples")?,
            segment_units: index(tiles * HELD, "samples")?,
            samples: index(geometry.samples, "samples")?,
            channels: index(geometry.channels, "channels")?,
            inner: index(geometry.spatial, "spatial positions")?,
            statistics_run: 1,
            statistics_period: index(geometry.channels, "channels")?,
            ..self.params()
        };
        self.step(kernel, params, vec![], 0..self.tensor_bytes())
    }
}
