//! Passes over contiguous rows of any length, a team at a piece of one: partial results of each, and outputs.

use super::fit::{Size, taken};
use super::planner::{Planner, Rows, index};
use super::steps::{MAX_ITERATIONS, Step};
use crate::error::Result;
use crate::kernel::{
    BY_ELEMENT, BY_ROW, BY_ROWS, BY_UNIT, Element, Kernel, PER_ROW, Parameters, Params, Registers, Team,
};

/// How rows are cut in segments.
pub(super) struct Cut {
    /// Of the team at one.
    pub size: Size,
    /// Of each segment: what its lanes take at a time.
    pub tiles: usize,
    /// Of each segment but the last.
    pub units: usize,
    /// Of each row.
    pub segments: usize,
}

impl Planner<'_> {
    /// A kernel that leaves one result per segment of each row, and how many segments that are. Rows may `share` units if the
    /// kernel only reads.
    pub(super) fn segmented(
        &self,
        rows: Rows,
        share: bool,
        constants: &[(&'static str, u32)],
        kernel: impl Fn(Team, Element, u32) -> Kernel,
    ) -> Result<(Vec<Step>, usize)> {
        let shared = self.shared_element(rows).filter(|_| share);
        let element = shared.or_else(|| self.widest_element(rows.len));
        let element = element.unwrap_or(Element { dtype: self.dtype, width: 1 });
        let units = rows.len / element.width as usize;
        let team = self.row_team(units);
        let held = self.units_per_lane(team, units, element, Registers::Row);
        let kernel = kernel(team, element, held);
        let held = taken(team, units, held);
        let Cut { size, tiles, units: of_segment, segments } = self.cut(kernel, rows.count, units, held as usize);
        let full = shared.is_none() && units.is_multiple_of(segments * of_segment);
        let own = [("HELD", held), ("FULL", u32::from(full)), ("SHARED_UNITS", u32::from(shared.is_some()))];
        let constants = [constants, &own].concat();
        let mut steps = vec![];
        for slice in self.slices(rows)? {
            let params = Params {
                rows: index(slice.len(), "rows")?,
                first: index(slice.start, "rows")?,
                units: index(units, "a row")?,
                row_stride: index(units, "a row")?,
                tiles: index(tiles, "a row")?,
                segments: index(segments, "a row")?,
                segment_units: index(of_segment, "a row")?,
                partial_first: index(slice.start * segments, "partial statistics")?,
                partial_row: index(segments, "a row")?,
                partial_segment: 1,
                ..self.row_params(rows)?
            };
            let bytes = self.bytes(&slice, rows.len);
            steps.push(self.sized_step(kernel, params, constants.clone(), bytes, size)?);
        }
        Ok((steps, segments))
    }

    /// How `kernel`, whose lanes take `held` units at a time, goes through so many rows of so many units.
    pub(super) fn cut(&self, kernel: Kernel, rows: usize, units: usize, held: usize) -> Cut {
        // Enough teams to keep the adapter busy, none with more tiles than the loop limit allows.
        let teams = self.busy_lanes(kernel.bytes_at_once()).div_ceil(self.largest_workgroup() as usize);
        let wanted = self.busy_teams().max(teams).div_ceil(rows);
        let size = self.row_size(kernel.team(), units.div_ceil(wanted * held));
        let tile = held * size.lanes as usize;
        // The rest is for what comes before and after the tiles.
        let most = (MAX_ITERATIONS as usize * 3 / 4) / kernel.iterations_of_tile() as usize;
        let wanted = wanted.min(units.div_ceil(tile)).max(units.div_ceil(most * tile));
        let tiles = units.div_ceil(wanted * tile);
        Cut { size, tiles, units: tiles * tile, segments: units.div_ceil(tiles * tile) }
    }

    /// Row `r` uses statistics `(r / run) mod period`.
    pub(super) fn apply(
        &self,
        rows: Rows,
        (run, period): (usize, usize),
        extra: &[(&'static str, u32)],
        kernel: impl Fn(Team, Element, Parameters) -> Kernel,
    ) -> Result<Vec<Step>> {
        let within = match self.interleaves() {
            // A unit's elements are of several rows, unless it has one.
            true => self.widest_element(1),
            false => self.element_of_rows(rows).or_else(|| self.widest_element(rows.len)),
        };
        self.check_kept(within)?;
        let element = within.unwrap_or(Element { dtype: self.dtype, width: 2 });
        let width = element.width as usize;
        let team = match self.strategy.team {
            None if self.caps.software => Team::Invocation,
            // Lanes exchange nothing: a workgroup is as good as a team of subgroups.
            None | Some(Team::Subgroup) => Team::Workgroup,
            Some(team) => team,
        };
        let size = self.size(team, 256);
        let lanes = size.lanes as usize;
        let kernel = kernel(team, element, self.parameters(self.quads(rows, element)));
        // The shortest row that is worth a team of its own is of so many units.
        let lookup = match within {
            None => BY_ELEMENT,
            Some(_) if self.interleaves() => BY_UNIT,
            Some(_) if !rows.len.is_multiple_of(width) => BY_ROWS,
            Some(_) if rows.len / width >= lanes.max(4) => BY_ROW,
            Some(_) => BY_UNIT,
        };
        // Units that a lane takes one after the other, while that leaves enough to do for others.
        let each = (self.geometry.len() / width / self.busy_lanes(kernel.bytes_at_once())).clamp(1, 8);
        // Units that a team takes.
        let stretch = match team {
            Team::Invocation => 256,
            _ => each * lanes,
        };
        let mut constants = self.affine_constants(rows, element);
        constants.push(("LOOKUP", lookup));
        constants.extend_from_slice(extra);
        constants.extend(self.interleaves().then_some(("INTERLEAVED", 1)));
        let mut steps = vec![];
        for slice in if self.interleaves() { self.slices_of_samples()? } else { self.slices(rows)? } {
            let (count, units) = match lookup {
                BY_ROW => (slice.len(), rows.len / width),
                // The first element may be the second of its word.
                _ => (1, (slice.start * rows.len % width + slice.len() * rows.len).div_ceil(width)),
            };
            let params = Params {
                rows: index(count, "rows")?,
                first: index(slice.start, "rows")?,
                units: index(units, "a tensor")?,
                segments: index(units.div_ceil(stretch), "a tensor")?,
                segment_units: index(stretch, "a tensor")?,
                statistics_run: index(run, "rows")?,
                statistics_period: index(period, "rows")?,
                elements: index(slice.len() * rows.len, "a tensor")?,
                interleaved: index(self.geometry.interleaved, "rows")?,
                ..self.row_params(rows)?
            };
            let bytes = self.bytes(&slice, rows.len);
            steps.push(self.sized_step(kernel, params, constants.clone(), bytes, size)?);
        }
        Ok(steps)
    }

    /// The widest element, where it would lie in two rows and the tensor is made of whole ones.
    fn shared_element(&self, rows: Rows) -> Option<Element> {
        let element = Element { dtype: self.dtype, width: Element::widths(self.dtype)[0] };
        let width = element.width as usize;
        let whole = self.geometry.len().is_multiple_of(width) && self.tensor_bytes() <= self.binding_limit();
        let whole = whole && self.neighbours().by_channel.is_none() && self.layout.pitched.is_none();
        (whole && rows.len > width && !rows.len.is_multiple_of(width)).then_some(element)
    }

    /// The widest element for a software adapter, whose invocations own stretches of rows anyway, where these have whole units of
    /// it only together and one parameter each.
    fn element_of_rows(&self, rows: Rows) -> Option<Element> {
        let alone = self.caps.software && self.strategy.team.unwrap_or(Team::Invocation) == Team::Invocation;
        self.shared_element(rows).filter(|&element| alone && self.affine(rows, element) == PER_ROW)
    }
}
