//! How often an invocation loops: drivers that run on the CPU end loops after so many iterations.

use super::params::{BY_ROW, BY_UNIT, MIXED, PER_ELEMENT};
use super::steps::Step;
use crate::kernel::{Element, Keep, Kernel, Parameters, RowsFrom, StatisticsFrom, Team};

impl Step {
    /// The most loop iterations that one invocation runs, inner loops included and unrolled by nobody; a loop that is entered
    /// counts at least one.
    pub fn iterations(&self) -> u64 {
        let params = &self.params;
        let per_lane = |count: u32| u64::from(count.div_ceil(self.lanes()));
        let width = self.kernel.element().map_or(1, |element| u64::from(element.width));
        let reduce = self.reduce();
        // Of an instance's partial moments and sums.
        let parts = if self.is("ONE_PART") { 0 } else { u64::from(params.parts).max(1) };
        let sum_parts = if self.is("ONE_SUM") { 0 } else { u64::from(params.sum_parts).max(1) };
        match self.kernel {
            Kernel::ForwardRow { units, parameters, .. } => {
                let written = if self.is("HELD") { u64::from(units) } else { per_lane(params.units) };
                u64::from(params.tiles) * iterations_of_tile(self.kernel)
                    + reduce
                    + written * (1 + 2 * self.looked_up(parameters))
            }
            Kernel::ForwardMoments { .. } => u64::from(params.tiles) * iterations_of_tile(self.kernel) + reduce,
            Kernel::ForwardCombine { .. } => chained(per_lane(params.units)) + reduce,
            Kernel::ForwardInstances { .. } => per_lane(params.samples) * (1 + parts) + 2 * reduce,
            Kernel::ForwardAxes { .. } => {
                let entries = self.per_item([params.channels, params.samples]);
                chained(entries) + entries * parts + reduce
            }
            Kernel::ForwardColumns { .. } => self.columns(1, 2 * u64::from(Kernel::COLUMN_UNITS)),
            Kernel::ForwardApplyColumns { .. } | Kernel::BackwardApplyColumns { .. } => {
                u64::from(params.run) * (1 + width + u64::from(params.segment_units))
            }
            Kernel::ForwardApply { parameters, from, .. } => {
                let lookup = if from == StatisticsFrom::Mixed { parts } else { 0 };
                self.units_of_a_stretch(lookup, 2 * self.looked_up(parameters))
            }
            Kernel::BackwardApply { parameters, .. } => self.units_of_a_stretch(0, self.looked_up(parameters)),
            Kernel::BackwardRow { units, parameters, keep, .. } => {
                let (units, weights) = (u64::from(units), self.looked_up(parameters));
                let channels = units / self.constant("CHANNEL_UNITS").map_or(1, |count| u64::from(count).max(1));
                let (sums, kept) = match keep {
                    Keep::Nothing => (units * (1 + weights), 0),
                    Keep::Columns => (units * (1 + weights), width),
                    Keep::Rows => (units, 0),
                    Keep::Channels => (units + channels * reduce, 0),
                };
                let row = units + sums + reduce + units * (1 + weights);
                u64::from(params.segment_units) * (1 + row) + units * (1 + kept)
            }
            Kernel::BackwardRows { units, rows, parameters, element } => {
                let (held, weights) = (u64::from(units), neighbours(parameters, element));
                let known = match rows {
                    RowsFrom::Own => held * (1 + u64::from(params.units.div_ceil(units)) * (1 + held * (1 + weights))),
                    RowsFrom::Stored | RowsFrom::Statistics => held,
                };
                let column = 1 + weights + held + width;
                u64::from(params.segment_units.div_ceil(units)) * (1 + known + u64::from(params.run) * column)
            }
            Kernel::BackwardColumns { .. } => self.columns(2, 0),
            Kernel::BackwardSums { from, .. } => {
                let lookup = if from == StatisticsFrom::Mixed { parts } else { 0 };
                lookup + u64::from(params.tiles) * iterations_of_tile(self.kernel) + reduce
            }
            Kernel::BackwardCombine { .. } => {
                let channels = if self.is("TOGETHER") { u64::from(Kernel::NEIGHBOURS) } else { 1 };
                self.per_item([params.units, 0]) + self.per_item([0, params.channel_units]) + channels * (1 + reduce)
            }
            Kernel::BackwardAxes { .. } => {
                let entry = 1 + 2 * parts + 2 * sum_parts;
                self.per_item([params.channels, params.samples]) * entry + 5 * reduce
            }
            Kernel::BackwardMix { .. } => 2 * parts + sum_parts + per_lane(params.samples).max(1) + 3 * reduce + 2 * 3,
        }
    }

    fn is(&self, name: &str) -> bool {
        self.constant(name) == Some(1)
    }

    /// Of a team that brings together what its lanes have.
    fn reduce(&self) -> u64 {
        let lanes = self.lanes();
        let steps = |count: u32| u64::from(count.ilog2()).max(1);
        match self.kernel.team() {
            Team::Invocation => 0,
            Team::Workgroup => steps(lanes),
            Team::Subgroup => {
                let (size, meeting) = (self.constant("SUBGROUP").unwrap_or(1), self.constant("MEETING").unwrap_or(1));
                let once = steps(lanes.min(size));
                if lanes > size { 2 * once + u64::from(meeting.div_ceil(size)) } else { once }
            }
        }
    }

    /// To find the parameters of a unit, of one kind.
    fn looked_up(&self, parameters: Parameters) -> u64 {
        let element = self.kernel.element();
        self.constant("AFFINE").zip(element).map_or(0, |(affine, element)| looked_up(affine, parameters, element))
    }

    /// Entries that an invocation loops over, of items of these many.
    fn per_item(&self, [first, second]: [u32; 2]) -> u64 {
        let entries = |count: u32, alone| if self.is(alone) { count } else { count.div_ceil(self.lanes()) };
        u64::from(entries(first, "FIRST_ALONE").max(entries(second, "SECOND_ALONE"))).max(1)
    }

    /// A block of columns of a chunk of samples: what is looked up or saved of each column, and tiles of samples.
    fn columns(&self, lookups: u64, again: u64) -> u64 {
        let held = Kernel::COLUMN_UNITS;
        let tiles = u64::from(self.params.segment_units.div_ceil(held)) * (1 + u64::from(held) + again);
        let width = self.kernel.element().map_or(1, |element| u64::from(element.width));
        u64::from(self.params.run) * (1 + tiles + lookups * width)
    }

    /// An apply's stretch, whose rows are looked up once, or for each unit, or where a row begins.
    fn units_of_a_stretch(&self, lookup: u64, parameters: u64) -> u64 {
        let params = &self.params;
        let stretch = params.segment_units.min(params.units);
        let units = u64::from(stretch.div_ceil(self.lanes()));
        let width = self.kernel.element().map_or(1, |element| u64::from(element.width));
        match self.constant("LOOKUP") {
            Some(BY_ROW) => lookup + units * (1 + parameters),
            Some(BY_UNIT) => units * (1 + parameters + lookup),
            _ => {
                let rows = u64::from(stretch) * width / u64::from(params.row_len.max(1)) + 2;
                units * (1 + width) + lookup.saturating_mul(rows.min(units * width))
            }
        }
    }
}

/// So many merges, in chains.
fn chained(merges: u64) -> u64 {
    merges.max(1) + merges.div_ceil(Kernel::CHAIN).max(1)
}

/// To find the parameters of a unit, of one kind.
pub(super) fn looked_up(affine: u32, parameters: Parameters, element: Element) -> u64 {
    match affine {
        PER_ELEMENT => neighbours(parameters, element),
        MIXED => u64::from(element.width),
        _ => 0,
    }
}

/// To gather the parameters of a unit's neighbours, of one kind: one by one unless they are read in fours.
fn neighbours(parameters: Parameters, element: Element) -> u64 {
    match parameters {
        Parameters::WeightQuads | Parameters::BothQuads => 0,
        _ => u64::from(element.width),
    }
}

/// Of each tile of a kernel that reads rows in tiles.
pub(super) fn iterations_of_tile(kernel: Kernel) -> u64 {
    match kernel {
        Kernel::BackwardSums { units, element, parameters, .. } => {
            u64::from(units) * (1 + neighbours(parameters, element)) + 1
        }
        // Reading, sums and squares are loops of their own, and one that asks whether the squares fit.
        Kernel::ForwardRow { units, .. } | Kernel::ForwardMoments { units, .. } => 1 + 4 * u64::from(units),
        _ => 1,
    }
}
