//! What planning looks at: the layer, the input and the device, and the rows that norms see in an input.

use super::caps::Caps;
use super::steps::{Pass, Strategy};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::spec::NormSpec;
use crate::spec::geometry::{Geometry, ParameterIndex};

/// A software adapter has a few cores of a few lanes: this many invocations keep them busy.
pub(super) const BUSY_SOFTWARE: usize = 512;
/// Spatial sizes from here on make a channel of a group worth a row of its own.
const PLANE_SPATIAL: usize = 64;
/// A GPU wants many workgroups: with fewer than this, long rows are cut into segments.
pub(super) const BUSY_GPU: usize = 1024;

pub(super) struct Planner<'a> {
    pub spec: &'a NormSpec,
    pub geometry: &'a Geometry,
    pub dtype: DType,
    pub caps: &'a Caps,
    pub strategy: Strategy,
    pub pass: Pass,
}

/// Rows that lie one after the other, as a step sees them.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub count: usize,
    pub len: usize,
    pub parameter: ParameterIndex,
}

impl Planner<'_> {
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

    /// The rows of an apply, and how many of them in turn share statistics.
    pub(super) fn apply_rows(&self) -> (Rows, usize) {
        match self.spec {
            // A group's channels have a parameter each: applied by channel, it is one for a whole row.
            NormSpec::Group(norm) if self.geometry.spatial >= PLANE_SPATIAL => {
                (self.planes(), norm.channels / norm.groups)
            }
            _ => (self.instances(), 1),
        }
    }
}

/// Shaders count in 32 bits.
pub(super) fn index(value: usize, what: &'static str) -> Result<u32> {
    let limit = u64::from(u32::MAX);
    u32::try_from(value).map_err(|_| Error::TooLarge { what, needed: value as u64, unit: "entries", limit })
}
