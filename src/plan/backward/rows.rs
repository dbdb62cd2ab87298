//! Backwards that go row by row: in the registers of a team, in blocks of whole rows, or once their coefficients are known.

use std::ops::Range;

use super::sums::Walk;
use crate::error::{Error, Result};
use crate::kernel::{CoefficientsFrom, Element, KeptSums, Kernel, Parameters, Params, StatisticsFrom, Team};
use crate::plan::fit::Size;
use crate::plan::planner::{Planner, Rows, index};
use crate::plan::steps::{Gradient, MAX_ITERATIONS, Pass, Plan, Route, SUM_BYTES, Scratch, Step};
use crate::spec::NormSpec;

/// Rows that a team sums the columns of, at most: a sum of 8 bytes is kept for each, and read again.
const ROWS_OF_A_TEAM: usize = 16;

/// Units of a row that an invocation of a software adapter still holds together with the sums of its columns.
const TINY_ROW: usize = 4;

/// How a team holds a row in registers.
#[derive(Clone, Copy)]
pub(super) struct Held {
    team: Team,
    size: Size,
    element: Element,
    /// Registers per lane.
    units: u32,
    /// Where channels of a row have gradients of their own.
    channels: Option<HeldChannels>,
}

/// How lanes share a row's channels: so many lanes for each, so many units of it per lane.
#[derive(Clone, Copy)]
struct HeldChannels {
    lanes: usize,
    units: usize,
    /// Lanes whose sums are kept as one.
    summed: usize,
}

impl Planner<'_> {
    /// How the rows of a backward are held, if they fit the registers of a team.
    pub(super) fn held_rows(&self) -> Option<Held> {
        let geometry = self.geometry;
        let alone = geometry.shared.is_none();
        let sums_rows = alone && !self.running() && !matches!(self.spec, NormSpec::Switchable(_));
        let bound = geometry.runs == 1 || self.tensor_bytes() <= self.binding_limit() && self.folded.is_none();
        if !sums_rows || !bound || self.interleaves() || !self.wants_dx() || self.strategy.route == Some(Route::Split) {
            return None;
        }
        let channels = geometry.parameter.step;
        let by_channel =
            matches!(self.spec, NormSpec::Group(_)) && self.gradients() != Parameters::None && channels > 1;
        let run = if by_channel { geometry.spatial } else { geometry.row_len / geometry.runs };
        let element = self.widest_element(run)?;
        let row_units = geometry.row_len / element.width as usize;
        let team = self.row_team(row_units);
        // On their own, a software adapter's invocations are faster at blocks of columns, and of rows that are not tiny.
        let weights = geometry.parameter.inner == 1 && self.has_weight();
        let blocks = geometry.runs > 1 || weights && row_units > TINY_ROW;
        if team == Team::Invocation && self.caps.software && blocks {
            return None;
        }
        let units = self.units_per_lane(team, row_units, element, self.kept_sums(by_channel).registers());
        let side_by_side =
            by_channel.then(|| self.held_channels(team, geometry.spatial / element.width as usize, units));
        let wanted = match side_by_side {
            Some(held) => channels.div_ceil(units as usize / held.units) * held.lanes,
            None => row_units.div_ceil(units as usize),
        };
        let size = self.row_size(team, wanted);
        let held = Held { team, size, element, units, channels: side_by_side };
        (wanted <= size.lanes as usize).then_some(held)
    }

    /// Which sums are kept of rows in registers, `by_channel` where a row has several.
    fn kept_sums(&self, by_channel: bool) -> KeptSums {
        match self.spec {
            _ if self.gradients() == Parameters::None => KeptSums::Nothing,
            _ if by_channel => KeptSums::Channels,
            NormSpec::Layer(_) | NormSpec::Rms(_) => KeptSums::Columns,
            _ => KeptSums::Rows,
        }
    }

    /// For a channel of `count` units, of which a lane can hold `units`.
    fn held_channels(&self, team: Team, count: usize, units: u32) -> HeldChannels {
        let wanted = count.div_ceil(units as usize);
        let subgroup =
            self.caps.subgroup.filter(|_| team == Team::Subgroup).map_or(usize::MAX, |sizes| sizes.min as usize);
        let (lanes, summed) = if wanted > subgroup {
            (wanted.next_multiple_of(subgroup), subgroup)
        } else {
            (wanted.next_power_of_two(), wanted.next_power_of_two())
        };
        HeldChannels { lanes, units: count.div_ceil(lanes), summed }
    }

    pub(super) fn backward_in_registers(&self, held: Held) -> Result<Plan> {
        let geometry = self.geometry;
        let rows = self.rows();
        let parameters = self.gradients();
        let keep = self.kept_sums(held.channels.is_some());
        let Held { team, size, element, units, channels } = held;
        let weights = self.parameters(self.quads(rows, element)).without_bias();
        let kernel = Kernel::BackwardRow { team, element, units, parameters: weights, keep };
        let row_units = rows.len / element.width as usize;
        // Several rows per team, while that leaves enough lanes: each team leaves 8 bytes for each of its columns.
        let enough = self.busy_lanes(kernel.bytes_at_once()).max(self.busy_teams() * size.lanes as usize);
        let busy = rows.count.saturating_mul(size.lanes as usize) / enough;
        let together = match keep {
            KeptSums::Columns => self.within_sample(busy.clamp(1, ROWS_OF_A_TEAM)),
            _ => 1,
        };
        let mut constants = self.affine_constants(rows, element);
        constants.extend([self.centered(), self.accumulate_dx(), ("CONTIGUOUS", u32::from(geometry.runs == 1))]);
        constants.extend(self.parts_of_samples().filter(|_| keep == KeptSums::Columns));
        let parts = channels.map_or(1, |held| held.lanes / held.summed);
        if let Some(held) = channels {
            let count = |value| index(value, "lanes");
            constants.extend([("CHANNEL_LANES", count(held.lanes)?), ("SUM_LANES", count(held.summed)?)]);
            constants.push(("CHANNEL_UNITS", count(held.units)?));
        }
        let run = row_units / geometry.runs;
        let rounds = match keep {
            KeptSums::Columns => self.rounds(rows, together, 0)?,
            _ => vec![self.slices(rows)?],
        };
        let sum = |slice: Range<usize>, kept: usize| {
            let params = Params {
                rows: index(slice.len(), "rows")?,
                first: index(slice.start, "rows")?,
                units: index(row_units, "a row")?,
                row_stride: index(run, "a row")?,
                run: index(run, "a row")?,
                run_stride: if geometry.runs == 1 { 0 } else { index(run * geometry.channels, "a row")? },
                segment_units: index(together, "rows")?,
                partial_first: index(kept, "partial sums")?,
                statistics_run: 1,
                statistics_period: index(rows.count, "rows")?,
                ..self.row_params(rows)?
            };
            let sums = match keep {
                KeptSums::Nothing => 0,
                KeptSums::Rows => slice.len(),
                KeptSums::Channels => slice.len() * geometry.parameter.step * parts,
                KeptSums::Columns => slice.len().div_ceil(together) * rows.len,
            };
            let bytes = if geometry.runs == 1 { self.bytes(&slice, rows.len) } else { 0..self.tensor_bytes() };
            let full = row_units == (units * size.lanes) as usize && slice.len().is_multiple_of(together);
            let constants = [&constants[..], &[("FULL", u32::from(full))]].concat();
            Ok((self.sized_step(kernel, params, constants, bytes, size)?, sums))
        };
        let channels = geometry.channels * self.folded.unwrap_or(1);
        let (steps, kept) = self.in_rounds(rounds, sum, |planner, kept, _| {
            let (walk, count) = match keep {
                KeptSums::Nothing => return Ok(None),
                KeptSums::Rows | KeptSums::Channels => (Walk::planes(channels, parts, kept / channels), channels),
                KeptSums::Columns => planner.of_columns(rows, 0, kept),
            };
            planner.combine_sums(None, parameters, Walk::NOWHERE, (walk, count), 1).map(Some)
        })?;
        let scratch = Scratch { sums: kept as u64, ..Scratch::default() };
        let why = format!("{} rows of {row_units} units fit one {} each", rows.count, steps[0].team_name());
        Ok(Plan { steps, scratch, why: format!("{why}: x and dy are read once"), exchange: None })
    }

    /// Rows whose elements have weights of their own: layer and RMS norm.
    pub(super) fn backward_weighted_rows(&self) -> Result<Plan> {
        let rows = self.instances();
        if !self.wants_dx() {
            return self.backward_of_columns(rows);
        }
        if self.gradients() == Parameters::None {
            return self.backward_through_rows(rows);
        }
        let Some(element) = self.column_element(rows.len, 2) else { return self.backward_shared_words(rows) };
        let parameters = self.parameters(self.quads(rows, element)).without_bias();
        let units = rows.len / element.width as usize;
        // Few rows at once where there are few, and where they are long: an invocation has to loop over all of them. Parameters of
        // samples take registers of their own.
        let [least, few, most] = Kernel::ROWS;
        let held = match rows.count <= least as usize {
            true => least,
            false if units > 512 && self.folded.is_some() => least,
            false if units > 512 => few,
            false => most,
        };
        let kernel = |from| Kernel::BackwardRows { element, units: held, parameters, from };
        if self.fits_row_blocks(units) {
            let (steps, sums) =
                self.row_blocks(rows, kernel(CoefficientsFrom::Computed), element, 0, (None, Walk::NOWHERE, 1))?;
            if steps.iter().all(|step| step.iterations() <= u64::from(MAX_ITERATIONS)) {
                let why = "blocks of rows with their sums of columns, combine".into();
                return Ok(Plan {
                    steps,
                    scratch: Scratch { sums: sums as u64, ..Scratch::default() },
                    why,
                    exchange: None,
                });
            }
        }
        let (mut steps, segments) = self.weighted_coefficients(rows)?;
        let stored = kernel(CoefficientsFrom::Stored);
        let (blocks, kept) = self.row_blocks(rows, stored, element, 0, (None, Walk::NOWHERE, 1))?;
        steps.extend(blocks);
        let sums = kept.max(rows.count * segments) as u64;
        let scratch = Scratch { sums, coefficients: rows.count as u64, ..Scratch::default() };
        Ok(Plan {
            steps,
            scratch,
            why: "sums of rows, combine, dx and sums of columns, combine".into(),
            exchange: None,
        })
    }

    /// Gradients of the parameters of such rows, and no dx.
    fn backward_of_columns(&self, rows: Rows) -> Result<Plan> {
        let element = self.column_element(rows.len, 4).unwrap_or(Element { dtype: self.dtype, width: 1 });
        let (steps, sums) = self.row_blocks(rows, of_columns(element), element, 0, (None, Walk::NOWHERE, 1))?;
        let scratch = Scratch { sums: sums as u64, ..Scratch::default() };
        Ok(Plan { steps, scratch, why: "sums of columns for the parameters alone".into(), exchange: None })
    }

    /// dx of such rows, and no gradients of parameters.
    fn backward_through_rows(&self, rows: Rows) -> Result<Plan> {
        let (mut steps, segments) = self.weighted_coefficients(rows)?;
        steps.extend(self.backward_apply(rows, (1, rows.count), false)?);
        let (sums, coefficients) = ((rows.count * segments) as u64, rows.count as u64);
        let scratch = Scratch { sums, coefficients, ..Scratch::default() };
        Ok(Plan { steps, scratch, why: "sums of rows, combine, apply".into(), exchange: None })
    }

    /// Sums of such rows and the combine that makes coefficients of them, and how many sums each row has.
    fn weighted_coefficients(&self, rows: Rows) -> Result<(Vec<Step>, usize)> {
        let (mut steps, segments) = self.sums(rows, StatisticsFrom::Stored, true, (1, rows.count), &[])?;
        let (weighted, of_set) = (Some(Parameters::None), Walk::contiguous(segments));
        steps.push(self.combine_sums(weighted, Parameters::None, of_set, (Walk::NOWHERE, 0), segments)?);
        Ok((steps, segments))
    }

    /// Whether blocks of whole rows are small enough to be read twice from a cache: a block is one invocation's.
    fn fits_row_blocks(&self, units: usize) -> bool {
        let forced = matches!(self.strategy.route, Some(Route::Fused));
        let chosen = self.caps.software && self.strategy.route.is_none();
        (forced || chosen) && matches!(self.strategy.team, None | Some(Team::Invocation)) && units <= 1024
    }

    /// Layer and RMS norm of 16-bit rows of odd length, which share words: no block of columns can write dx.
    fn backward_shared_words(&self, rows: Rows) -> Result<Plan> {
        let element = Element { dtype: self.dtype, width: 1 };
        let (mut steps, segments) = self.sums(rows, StatisticsFrom::Stored, true, (1, rows.count), &[])?;
        // After the sums of the rows.
        let first = rows.count * segments;
        let sets = (Some(Parameters::None), Walk::contiguous(segments), segments);
        let (blocks, kept) = self.row_blocks(rows, of_columns(element), element, first, sets)?;
        steps.extend(blocks);
        steps.extend(self.backward_apply(rows, (1, rows.count), false)?);
        let scratch = Scratch { sums: (first + kept) as u64, coefficients: rows.count as u64, ..Scratch::default() };
        Ok(Plan {
            steps,
            scratch,
            why: "rows share words: sums of rows and of columns, combine, apply".into(),
            exchange: None,
        })
    }

    /// Steps that own blocks of columns in chunks of rows, their combines, of which the last has these sets, and how many
    /// sums they need after `first` others.
    fn row_blocks(
        &self,
        rows: Rows,
        kernel: Kernel,
        element: Element,
        first: usize,
        (sets, of_set, sum_parts): (Option<Parameters>, Walk, usize),
    ) -> Result<(Vec<Step>, usize)> {
        let mut constants = vec![];
        let mut chunk = 1;
        if let Kernel::BackwardRows { from, units, .. } = kernel {
            chunk = self.within_sample(units as usize);
            constants.extend((from != CoefficientsFrom::Statistics).then(|| self.accumulate_dx()));
            if from == CoefficientsFrom::Computed {
                let whole = rows.len.is_multiple_of((units * element.width) as usize);
                constants.extend([self.centered(), ("WHOLE_TILES", u32::from(whole))]);
            }
        }
        let sum = |slice: Range<usize>, kept: usize| {
            let first_row = index(slice.start, "rows")?;
            let own = constants.iter().copied().chain(self.by_sample()).chain(self.parts_of_samples()).collect();
            let mut step = self.column_step(kernel, element, slice, (chunk, first + kept), own)?;
            step.params.first = first_row;
            step.params.statistics_period = index(rows.count, "rows")?;
            step.params.row_len = index(rows.len, "a row")?;
            let sums = step.params.segments as usize * rows.len;
            Ok((step, sums))
        };
        self.in_rounds(self.rounds(rows, chunk, first)?, sum, |planner, kept, last| {
            let (sets, of_set, sum_parts) = if last { (sets, of_set, sum_parts) } else { (None, Walk::NOWHERE, 1) };
            let of_column = planner.of_columns(rows, first, kept);
            planner.combine_sums(sets, planner.gradients(), of_set, of_column, sum_parts).map(Some)
        })
    }

    /// Where the sums of each column are, `kept` in all after `first` others, and how many columns there are: of each sample,
    /// where it has parameters of its own.
    fn of_columns(&self, rows: Rows, first: usize, kept: usize) -> (Walk, usize) {
        let columns = rows.len * self.folded.unwrap_or(1);
        (Walk::columns(first, columns, kept / columns), columns)
    }

    /// The override of a kernel that keeps sums of columns.
    fn parts_of_samples(&self) -> Option<(&'static str, u32)> {
        self.folded.map(|_| ("PARTS_OF_SAMPLES", 1))
    }

    /// At most so many rows that are summed as one: of one sample, where each has parameters of its own.
    fn within_sample(&self, most: usize) -> usize {
        let Some(samples) = self.folded else { return most };
        let rows = self.geometry.rows / samples;
        (1..=most.min(rows)).rev().find(|&chunk| rows.is_multiple_of(chunk)).unwrap_or(1)
    }

    /// Slices of rows whose sums of columns, one for each `chunk` of rows, fit a binding at once after `first` others.
    fn rounds(&self, rows: Rows, chunk: usize, first: usize) -> Result<Vec<Vec<Range<usize>>>> {
        let most = self.scratch_limit(SUM_BYTES).saturating_sub(first) / rows.len;
        // Those of samples are combined in one round.
        let least = if self.folded.is_some() { rows.count.div_ceil(chunk) } else { 1 };
        if most < least {
            let (needed, limit) = ((first + least * rows.len) as u64 * SUM_BYTES, self.scratch_limit(1) as u64);
            return Err(Error::TooLarge { what: "a buffer of partial statistics", needed, unit: "bytes", limit });
        }
        if self.folded.is_some() && self.tensor_bytes() > self.binding_limit() {
            let (needed, limit) = (self.tensor_bytes(), self.binding_limit());
            return Err(Error::TooLarge { what: "a modulated tensor in one binding", needed, unit: "bytes", limit });
        }
        let mut rounds: Vec<Vec<Range<usize>>> = vec![];
        let mut left = 0;
        for slice in self.slices_of(rows, most.saturating_mul(chunk))? {
            let chunks = slice.len().div_ceil(chunk);
            match rounds.last_mut() {
                Some(round) if chunks <= left => round.push(slice),
                _ => {
                    left = most;
                    rounds.push(vec![slice]);
                }
            }
            left -= chunks;
        }
        Ok(rounds)
    }

    /// `sum` of each slice, told how many sums are kept and telling how many it adds; after each round a `combine` of what
    /// is kept, told whether it is the last. Later ones add to the first one's gradients. And the most sums kept at once.
    fn in_rounds(
        &self,
        rounds: Vec<Vec<Range<usize>>>,
        sum: impl Fn(Range<usize>, usize) -> Result<(Step, usize)>,
        combine: impl Fn(&Planner, usize, bool) -> Result<Option<Step>>,
    ) -> Result<(Vec<Step>, usize)> {
        let mut pass = self.pass;
        if let Pass::Backward { parameters, .. } = &mut pass {
            *parameters = Gradient::Added;
        }
        let adding = Planner { pass, ..*self };
        let (mut steps, mut most, last) = (vec![], 0, rounds.len());
        for (number, round) in (1..).zip(rounds) {
            let mut kept = 0;
            for slice in round {
                let (step, sums) = sum(slice, kept)?;
                steps.push(step);
                kept += sums;
            }
            most = most.max(kept);
            steps.extend(combine(if number == 1 { self } else { &adding }, kept, number == last)?);
        }
        Ok((steps, most))
    }
}

/// The kernel of sums of columns that writes no dx.
fn of_columns(element: Element) -> Kernel {
    let (units, parameters, from) = (Kernel::ROWS[1], Parameters::None, CoefficientsFrom::Statistics);
    Kernel::BackwardRows { element, units, parameters, from }
}
