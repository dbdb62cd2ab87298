//! What a step says of how often its kernel loops.

use super::alternatives::{Element, Parameters, StatisticsFrom, Team};
use super::kernels::Kernel;
use super::overrides::{BY_ROW, BY_ROWS, BY_UNIT, CHAIN, MIXED, PER_ELEMENT};
use super::params::Params;

/// The numbers of a step that its loops go by, and what many kernels loop over. All counts are of one invocation, inner loops
/// included and unrolled by nobody; a loop that is entered counts at least one.
pub(super) struct Launch<'a> {
    pub team: Team,
    pub element: Option<Element>,
    pub params: &'a Params,
    pub constants: &'a [(&'static str, u32)],
}

impl Launch<'_> {
    pub fn constant(&self, name: &str) -> Option<u32> {
        constant(self.constants, name)
    }

    pub fn is(&self, name: &str) -> bool {
        self.constant(name) == Some(1)
    }

    pub fn lanes(&self) -> u32 {
        lanes(self.team, self.constants)
    }

    /// Of so many, those that a lane has.
    pub fn per_lane(&self, count: u32) -> u64 {
        u64::from(count.div_ceil(self.lanes()))
    }

    /// Entries that an invocation loops over, of items of these many (part/common/items.wgsl).
    pub fn per_item(&self, [first, second]: [u32; 2]) -> u64 {
        let entries = |count: u32, alone| if self.is(alone) { u64::from(count) } else { self.per_lane(count) };
        entries(first, "FIRST_PER_LANE").max(entries(second, "SECOND_PER_LANE")).max(1)
    }

    /// Of a team that brings together what its lanes have.
    pub fn reduce(&self) -> u64 {
        let lanes = self.lanes();
        let steps = |count: u32| u64::from(count.ilog2()).max(1);
        match self.team {
            Team::Invocation => 0,
            Team::Workgroup => steps(lanes),
            Team::Subgroup => {
                let [size, max, partials] =
                    ["SUBGROUP", "SUBGROUP_MAX", "PARTIALS"].map(|name| self.constant(name).unwrap_or(1));
                let once = steps(lanes.min(max));
                if lanes > size { 2 * once + u64::from(partials.div_ceil(size)) } else { once }
            }
        }
    }

    /// Of an instance's partial moments.
    pub fn parts(&self) -> u64 {
        if self.is("ONE_PART") { 0 } else { u64::from(self.params.parts).max(1) }
    }

    /// Of an instance's partial sums.
    pub fn sum_parts(&self) -> u64 {
        if self.is("ONE_SUM") { 0 } else { u64::from(self.params.sum_parts).max(1) }
    }

    pub fn tiles(&self) -> u64 {
        u64::from(self.params.tiles)
    }

    /// Elements of a unit.
    pub fn width(&self) -> u64 {
        self.element.map_or(1, |element| u64::from(element.width))
    }

    /// To find the parameters of a unit, of one kind.
    pub fn parameter_loops(&self, parameters: Parameters) -> u64 {
        let affine = self.constant("AFFINE").zip(self.element);
        affine.map_or(0, |(affine, element)| parameter_loops(affine, parameters, element))
    }

    /// A block of columns of a chunk of samples: what is looked up or saved of each column, and tiles of samples.
    pub fn columns(&self, lookups: u64, again: u64) -> u64 {
        let held = Kernel::COLUMN_UNITS;
        let tiles = u64::from(self.params.segment_units.div_ceil(held)) * (1 + u64::from(held) + again);
        u64::from(self.params.run) * (1 + tiles + lookups * self.width())
    }

    /// The same where each sample is read once.
    pub fn columns_applied(&self) -> u64 {
        u64::from(self.params.run) * (1 + self.width() + u64::from(self.params.segment_units))
    }

    /// An apply's stretch, whose rows are looked up once, or for each unit, or where a row begins.
    pub fn stretch(&self, lookup: u64, parameters: u64) -> u64 {
        let stretch = self.params.segment_units.min(self.params.units);
        let (units, width) = (self.per_lane(stretch), self.width());
        let rows = u64::from(stretch) * width / u64::from(self.params.row_len.max(1)) + 2;
        match self.constant("LOOKUP") {
            Some(BY_ROW) => lookup + units * (1 + parameters),
            Some(BY_ROWS) => (units + rows) * (1 + parameters) + rows * (lookup + width),
            Some(BY_UNIT) => units * (1 + parameters + lookup),
            _ => units * (1 + width) + lookup.saturating_mul(rows.min(units * width)),
        }
    }

    /// Of a layer's outputs, unit by unit.
    pub fn outputs(&self, parameters: Parameters, from: StatisticsFrom) -> u64 {
        let lookup = if from == StatisticsFrom::Mixed { self.parts() } else { 0 };
        self.stretch(lookup, 2 * self.parameter_loops(parameters))
    }
}

fn constant(constants: &[(&'static str, u32)], name: &str) -> Option<u32> {
    constants.iter().find(|(key, _)| *key == name).map(|&(_, value)| value)
}

/// Lanes of one team.
pub(super) fn lanes(team: Team, constants: &[(&'static str, u32)]) -> u32 {
    let name = match team {
        Team::Workgroup => "WORKGROUP",
        Team::Subgroup => "LANES",
        Team::Invocation => return 1,
    };
    constant(constants, name).unwrap_or(1).max(1)
}

/// So many merges, in chains.
pub(super) fn chained(merges: u64) -> u64 {
    merges.max(1) + merges.div_ceil(u64::from(CHAIN)).max(1)
}

/// To find the parameters of a unit, of one kind.
pub(crate) fn parameter_loops(affine: u32, parameters: Parameters, element: Element) -> u64 {
    match affine {
        PER_ELEMENT => neighbour_loops(parameters, element),
        MIXED => u64::from(element.width),
        _ => 0,
    }
}

/// To gather the parameters of a unit's neighbours, of one kind: one by one unless they are read in fours.
pub(super) fn neighbour_loops(parameters: Parameters, element: Element) -> u64 {
    match parameters {
        Parameters::WeightQuads | Parameters::BothQuads | Parameters::NoneQuads => 0,
        _ => u64::from(element.width),
    }
}
