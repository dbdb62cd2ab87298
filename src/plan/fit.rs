//! Widths, slices, teams, workgroups and grids, sized to a device.

use std::ops::Range;

use super::caps::SubgroupSizes;
use super::neighbours::divisor;
use super::planner::{BUSY_GPU, BUSY_SOFTWARE, Planner, Rows, index};
use super::steps::{MAX_ITERATIONS, Step, Strategy, Takes};
use crate::error::{Error, Result};
use crate::kernel::{Element, Kernel, Params, Registers, Team};
use crate::spec::strides::in_ranges;

/// A tensor is bound in at most this many slices; with real bindings, of 128 MiB and more, no buffer has as many.
const MAX_SLICES: usize = 1024;
/// Units of a row that one invocation sums as fast as a team would.
const SHORT_ROW: usize = 16;

/// Invocations of a workgroup, and of each team in it; powers of two.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub workgroup: u32,
    pub lanes: u32,
}

impl Planner<'_> {
    /// Units that each lane of a team holds of a row: few while that takes no more lanes than a subgroup has, or than a
    /// workgroup is worth, and else as many as leave room for other teams.
    pub(super) fn units_per_lane(&self, team: Team, units: usize, element: Element, registers: Registers) -> u32 {
        if team == Team::Invocation {
            return match units {
                ..=2 => 2,
                9..=16 => 16,
                _ => 8,
            };
        }
        let few = self.caps.subgroup.filter(|_| team == Team::Subgroup).map_or(64, |sizes| sizes.min);
        let few = self.strategy.lanes.unwrap_or(few) as usize;
        let most = registers.units(element);
        // Subgroups of 64 lanes and no fewer share as many registers as others of 32 do, and 16-bit elements take some to decode.
        let crowded = registers == Registers::Row && element.width == 8 && self.subgroup().min >= 64;
        if units <= 2 * few || crowded { most.min(2) } else { most }
    }

    /// The widest element that no row of `len` splits and that can be written.
    pub(super) fn widest_element(&self, len: usize) -> Option<Element> {
        self.element_of(len, u32::MAX)
    }

    /// The same for an invocation that sums columns on its own, which takes registers for each element. A GPU's neighbours read
    /// together, and narrow units cost them nothing: so many elements each at most.
    pub(super) fn column_element(&self, len: usize, most: u32) -> Option<Element> {
        self.element_of(len, if self.caps.software { u32::MAX } else { most })
    }

    fn element_of(&self, len: usize, most: u32) -> Option<Element> {
        let elements = Element::widths(self.dtype).iter().map(|&width| Element { dtype: self.dtype, width });
        // A value that is added by channel is one unit's.
        let planes = self.added_planes().map_or(0, |planes| planes.neighbours);
        let fits = |element: &Element| {
            let width = element.width as usize;
            self.in_units(len, width) && planes.is_multiple_of(width) && element.width <= most
        };
        elements.filter(fits).find(|element| element.writes())
    }

    pub(super) fn tensor_bytes(&self) -> u64 {
        self.bytes(&(0..1), self.geometry.len()).end
    }

    /// Entries of `bytes` each that a buffer between steps can have.
    pub(super) fn scratch_limit(&self, bytes: u64) -> usize {
        let entries = self.caps.max_binding.min(self.caps.max_buffer) / bytes;
        usize::try_from(entries).unwrap_or(usize::MAX)
    }

    /// Shaders address elements with 32 bits.
    pub(super) fn binding_limit(&self) -> u64 {
        self.caps.max_binding.min(u64::from(u32::MAX))
    }

    /// The bytes of a range of rows; bindings end on a word.
    pub(super) fn bytes(&self, slice: &Range<usize>, len: usize) -> Range<u64> {
        let byte = |row: usize| row as u64 * len as u64 * self.dtype.size() as u64;
        byte(slice.start)..byte(slice.end).next_multiple_of(4)
    }

    /// Whole rows by what one binding can cover.
    pub(super) fn slices(&self, rows: Rows) -> Result<Vec<Range<usize>>> {
        self.slices_of(rows, rows.count)
    }

    /// The same of at most so many rows each.
    pub(super) fn slices_of(&self, rows: Rows, most: usize) -> Result<Vec<Range<usize>>> {
        let (limit, total) = (self.binding_limit(), self.tensor_bytes());
        if self.layout.pitched.is_some() {
            let ranges = in_ranges(rows.count, most, MAX_SLICES, |range| self.rows_fit(rows, range, limit));
            let too_large = Error::TooLarge { what: "rows that lie apart", needed: total, unit: "bytes", limit };
            return ranges.ok_or(too_large);
        }
        let most = if total <= limit && rows.count <= most { rows.count } else { self.rows_per_slice(rows, most)? };
        if rows.count.div_ceil(most) > MAX_SLICES {
            let limit = limit.saturating_mul(MAX_SLICES as u64);
            return Err(Error::TooLarge { what: "this shape", needed: total, unit: "bytes", limit });
        }
        Ok((0..rows.count).step_by(most).map(|start| start..start.saturating_add(most).min(rows.count)).collect())
    }

    /// At least one.
    fn rows_per_slice(&self, rows: Rows, most: usize) -> Result<usize> {
        let limit = self.binding_limit();
        let row_bytes = rows.len as u64 * self.dtype.size() as u64;
        // A binding begins at most so many bytes before its slice, and ends on a word.
        let before = self.caps.alignment - gcd(self.caps.alignment, row_bytes);
        let most = ((limit / 4 * 4).saturating_sub(before) / row_bytes).min(most as u64);
        if most == 0 {
            let needed = row_bytes.saturating_add(before);
            let what = match self.interleaves() {
                true => "a sample of this shape in one binding",
                false => "a row of this shape in one binding",
            };
            return Err(Error::TooLarge { what, needed, unit: "bytes", limit });
        }
        Ok(usize::try_from(most).unwrap_or(usize::MAX))
    }

    pub(super) fn largest_workgroup(&self) -> u32 {
        // Shared memory holds 16 bytes of moments per invocation.
        let most = self.caps.max_workgroup.min(self.caps.workgroup_storage / 16).clamp(1, 1024);
        1 << most.ilog2()
    }

    /// Of one lane where there are none.
    fn subgroup(&self) -> SubgroupSizes {
        self.caps.subgroup.unwrap_or(SubgroupSizes::of(1))
    }

    /// The size of a team that could use `lanes` lanes, and of its workgroup.
    pub(super) fn size(&self, team: Team, lanes: usize) -> Size {
        let lanes = u32::try_from(lanes.next_power_of_two()).unwrap_or(u32::MAX);
        let least = if self.strategy.lanes.is_some() { 1 } else { 64 };
        let largest = self.largest_workgroup();
        let whole = lanes.clamp(least, 1024).min(largest);
        match team {
            Team::Workgroup => Size { workgroup: whole, lanes: whole },
            Team::Subgroup => match self.subgroup() {
                SubgroupSizes { min, max } if lanes <= min || whole <= min => {
                    let workgroup = 128.max(max).min(self.caps.max_workgroup) / max * max;
                    Size { workgroup, lanes: lanes.min(min) }
                }
                _ => Size { workgroup: whole, lanes: whole },
            },
            Team::Invocation => Size { workgroup: 64.min(largest), lanes: 1 },
        }
    }

    /// The same for the rows of x, unless it is forced.
    pub(super) fn row_size(&self, team: Team, lanes: usize) -> Size {
        self.size(team, self.strategy.lanes.map_or(lanes, |lanes| lanes.clamp(1, 1 << 16) as usize))
    }

    /// Who sums a row of so many units: a few are not worth a workgroup.
    pub(super) fn row_team(&self, units: usize) -> Team {
        match self.chosen_team() {
            Team::Workgroup if units <= SHORT_ROW && self.strategy == Strategy::default() => Team::Invocation,
            team => team,
        }
    }

    /// Who sums where nothing is forced. Barriers are what costs a software adapter.
    pub(super) fn chosen_team(&self) -> Team {
        self.strategy.team.unwrap_or(match self.caps.subgroup {
            _ if self.caps.software => Team::Invocation,
            Some(_) => Team::Subgroup,
            None => Team::Workgroup,
        })
    }

    /// The team for a loop over `count` entries of `parts` each: alone where that is short.
    pub(super) fn reduction_team(&self, count: usize, parts: usize) -> (Team, Size) {
        let alone = if self.caps.software { 4096 } else { 8 };
        let wide = if self.caps.subgroup.is_some() && !self.caps.software { Team::Subgroup } else { Team::Workgroup };
        let wanted = self.strategy.team.unwrap_or(if count * parts <= alone { Team::Invocation } else { wide });
        // Each more lane has a software adapter switch fibres at every barrier.
        let size = self.size(wanted, if self.caps.software { count.div_ceil(256) } else { count });
        let fits = count.div_ceil(size.lanes as usize) * (1 + parts) < MAX_ITERATIONS as usize / 2;
        if fits { (wanted, size) } else { (Team::Workgroup, self.size(Team::Workgroup, usize::MAX / 4)) }
    }

    /// The team for two kinds of items, so many of so many entries each (shaders/part/common/items.wgsl), of `parts` each: sized for
    /// those of more entries, while the others are a lane's each if a team would mostly idle.
    pub(super) fn items_team(
        &self,
        kinds: [(usize, usize); 2],
        parts: usize,
    ) -> (Team, Size, [(&'static str, u32); 2]) {
        let most = kinds.iter().filter(|(count, _)| *count > 0).map(|&(_, entries)| entries).max().unwrap_or(0);
        let (team, size) = match (self.reduction_team(most, parts), self.caps.subgroup) {
            // Teams without barriers, which every item would pay for.
            ((Team::Workgroup, _), Some(SubgroupSizes { min, .. }))
                if self.caps.software
                    && self.strategy.team.is_none()
                    && most.div_ceil(min as usize) * (1 + parts) < MAX_ITERATIONS as usize / 2 =>
            {
                (Team::Subgroup, self.size(Team::Subgroup, min as usize))
            }
            (chosen, _) => chosen,
        };
        let busy = if self.caps.software { BUSY_SOFTWARE } else { 32 * BUSY_GPU };
        let alone = |(count, entries): (usize, usize)| {
            let many = count >= busy && entries * (1 + parts) < MAX_ITERATIONS as usize / 4;
            u32::from(many || 4 * entries <= size.lanes as usize)
        };
        (team, size, [("FIRST_PER_LANE", alone(kinds[0])), ("SECOND_PER_LANE", alone(kinds[1]))])
    }

    pub(super) fn step(
        &self,
        kernel: Kernel,
        params: Params,
        constants: Vec<(&'static str, u32)>,
        bytes: Range<u64>,
    ) -> Result<Step> {
        self.sized_step(kernel, params, constants, bytes, self.size(kernel.team(), 64))
    }

    /// A step over these bytes of the tensors.
    pub(super) fn sized_step(
        &self,
        kernel: Kernel,
        mut params: Params,
        mut constants: Vec<(&'static str, u32)>,
        bytes: Range<u64>,
        Size { workgroup, lanes }: Size,
    ) -> Result<Step> {
        // A binding begins where it may, and what it is for a little later.
        let begin = bytes.start - bytes.start % self.caps.alignment;
        params.start = ((bytes.start - begin) / self.dtype.size() as u64) as u32;
        let first = bytes.start / self.dtype.size() as u64;
        let pitched = self.pitches(kernel, &bytes, &mut params)?;
        let bytes = begin..bytes.end;
        constants.extend(self.layout_constants(kernel));
        constants.extend(kernel.element().map(|_| ("SLICED", u32::from(params.start > 0))));
        let planes = self.added_planes().filter(|_| kernel.adds_before());
        if let Some((element, planes)) = kernel.element().zip(planes) {
            let width = u64::from(element.width);
            params.first_element = index((first / width * width) as usize, "elements")?;
            params.plane_len = index(planes.len, "a plane")?;
            (params.plane_multiplier, params.plane_bits) = divisor(params.plane_len);
            params.interleaved = index(planes.interleaved, "channels")?;
            let whole = u32::from(planes.neighbours.is_multiple_of(element.width as usize));
            constants.extend([("BY_CHANNEL", 1), ("WHOLE_UNITS", whole)]);
            constants.extend((planes.interleaved > 1).then_some(("CHANNELS_LAST", 1)));
            let by_columns = matches!(kernel, Kernel::ForwardColumns { .. } | Kernel::ForwardApplyColumns { .. });
            constants.extend(by_columns.then_some(("COLUMNS_OF_SAMPLES", u32::from(self.interleaves()))));
        }
        let on = |name| constants.contains(&(name, 1));
        let items = |[firsts, seconds]: [u32; 2]| {
            let teams = |count: u32, alone| u64::from(if alone { count.div_ceil(lanes) } else { count });
            teams(firsts, on("FIRST_PER_LANE")) + teams(seconds, on("SECOND_PER_LANE"))
        };
        let teams = match kernel {
            Kernel::BackwardCombine { .. } => {
                let of_a_team = if on("SEVERAL_CHANNELS") { Kernel::NEIGHBOURS } else { 1 };
                items([params.rows, params.channels.div_ceil(of_a_team)])
            }
            Kernel::ForwardAxes { .. } | Kernel::BackwardAxes { .. } => {
                items([params.samples, params.rows - params.samples])
            }
            Kernel::BackwardMix { .. } => items([params.rows, 1]),
            // A team has several rows.
            Kernel::BackwardRow { .. } => u64::from(params.rows.div_ceil(params.segment_units)),
            _ => u64::from(params.rows) * u64::from(params.segments.max(1)),
        };
        // Few invocations on a software adapter: small workgroups, so that every core gets some.
        let workgroup = match kernel.team() {
            Team::Invocation if self.caps.software && teams < BUSY_SOFTWARE as u64 => workgroup.min(8),
            _ => workgroup,
        };
        constants.push(("WORKGROUP", workgroup));
        if kernel.team() == Team::Subgroup {
            let SubgroupSizes { min, max } = self.subgroup();
            constants.extend([("SUBGROUP", min), ("SUBGROUP_MAX", max)]);
            constants.extend([("LANES", lanes), ("PARTIALS", (lanes / min).max(1))]);
        }
        let per_workgroup = u64::from(workgroup / lanes);
        let workgroups = self.grid(teams.div_ceil(per_workgroup), per_workgroup)?;
        let launched = workgroups.map(u64::from).iter().product::<u64>() * per_workgroup;
        for full in constants.iter_mut().filter(|(name, _)| *name == "FULL") {
            full.1 &= u32::from(teams == launched);
        }
        let takes = if self.folded.is_some() { Takes::Folded } else { Takes::Own };
        Ok(Step { kernel, constants, params, workgroups, bytes, pitched, takes })
    }

    /// Workgroups folded over two dimensions; the last ones may be idle.
    pub(super) fn grid(&self, workgroups: u64, teams: u64) -> Result<[u32; 2]> {
        let most = u64::from(self.caps.max_workgroups);
        let y = workgroups.div_ceil(most);
        let x = workgroups.div_ceil(y.max(1));
        // The number of a team must fit 32 bits too.
        let numbers = u128::from(x) * u128::from(y) * u128::from(teams);
        if y > most || numbers > u128::from(u32::MAX) {
            let limit = (most * most).min(u64::from(u32::MAX) / teams);
            return Err(Error::TooLarge { what: "this shape", needed: workgroups, unit: "workgroups", limit });
        }
        Ok([x as u32, y as u32])
    }
}

/// Of the units that each lane of a team has room for, those that it takes of rows of so many.
pub(super) fn taken(team: Team, units: usize, room: u32) -> u32 {
    if team == Team::Invocation { room.min(u32::try_from(units).unwrap_or(u32::MAX)) } else { room }
}

/// Of so many parts, those that a loop merges.
pub(super) fn merged(parts: usize) -> usize {
    if parts == 1 { 0 } else { parts }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
