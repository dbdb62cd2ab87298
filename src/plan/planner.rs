//! What planning looks at: the layer, the input and the device, and the rows that norms see in an input.

use super::caps::Caps;
use super::steps::{Layout, Pass, Strategy};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::StatisticsFrom;
use crate::spec::NormSpec;
use crate::spec::geometry::{Geometry, ParameterIndex, Source};

/// A software adapter has a few cores of a few lanes: this many invocations keep them busy.
pub(super) const BUSY_SOFTWARE: usize = 512;
/// Spatial sizes from here on make a channel of a group worth a row of its own.
const PLANE_SPATIAL: usize = 64;
/// A GPU wants many workgroups, so that each of its cores has some.
pub(super) const BUSY_GPU: usize = 1024;
/// Bytes that a step should have on their way to a GPU's cores: twice what an H200's memory holds between asking and getting,
/// 4.8 TB/s times 600 ns.
const UNDER_WAY: u64 = 5_760_000;

pub(super) struct Planner<'a> {
    pub spec: &'a NormSpec,
    pub geometry: &'a Geometry,
    pub dtype: DType,
    pub caps: &'a Caps,
    pub strategy: Strategy,
    pub pass: Pass,
    /// Its parameters are multiplied out with a modulation of so many samples, which each have their own: a backward's.
    pub folded: Option<usize>,
    pub layout: Layout,
}

/// Rows that lie one after the other, as a step sees them.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub count: usize,
    pub len: usize,
    pub parameter: ParameterIndex,
}

impl Planner<'_> {
    /// Teams that keep the adapter's cores busy.
    pub(super) fn busy_teams(&self) -> usize {
        if self.caps.software { BUSY_SOFTWARE } else { BUSY_GPU }
    }

    /// Lanes that keep the adapter's memory busy, where each asks it for so many bytes at once.
    pub(super) fn busy_lanes(&self, bytes: u64) -> usize {
        if self.caps.software { BUSY_SOFTWARE } else { UNDER_WAY.div_ceil(bytes.max(1)) as usize }
    }

    /// The contiguous pieces that all split norms can be summed by: instances of batch norm, else its rows.
    pub(super) fn instances(&self) -> Rows {
        if matches!(self.spec, NormSpec::Batch(_)) {
            return self.planes();
        }
        self.rows()
    }

    /// What the statistics are of, scattered or not.
    pub(super) fn rows(&self) -> Rows {
        let geometry = self.geometry;
        Rows { count: geometry.rows, len: geometry.row_len, parameter: geometry.parameter }
    }

    /// One row per sample and channel.
    pub(super) fn planes(&self) -> Rows {
        let geometry = self.geometry;
        let parameter = ParameterIndex { period: geometry.channels, step: 1, inner: geometry.spatial };
        Rows { count: geometry.samples * geometry.channels, len: geometry.spatial, parameter }
    }

    /// Where the statistics of outputs are.
    pub(super) fn statistics(&self) -> StatisticsFrom {
        match self.spec {
            NormSpec::Switchable(_) => StatisticsFrom::Mixed,
            _ if self.running() => StatisticsFrom::Running,
            _ => StatisticsFrom::Stored,
        }
    }

    pub(super) fn running(&self) -> bool {
        self.geometry.source == Source::Running
    }

    /// The rows of an apply. Row `r` uses statistics `(r / run) mod period`.
    pub(super) fn apply_rows(&self) -> (Rows, (usize, usize)) {
        let geometry = self.geometry;
        let period = if self.statistics() == StatisticsFrom::Running { geometry.channels } else { geometry.rows };
        match self.spec {
            // A group's channels have a parameter each: applied by channel, it is one for a whole row.
            NormSpec::Group(norm) if geometry.spatial >= PLANE_SPATIAL || self.interleaves() => {
                (self.planes(), (norm.channels / norm.groups, period))
            }
            _ => (self.instances(), (1, period)),
        }
    }
}

/// Shaders count in 32 bits.
pub(super) fn index(value: usize, what: &'static str) -> Result<u32> {
    let limit = u64::from(u32::MAX);
    u32::try_from(value).map_err(|_| Error::TooLarge { what, needed: value as u64, unit: "entries", limit })
}
