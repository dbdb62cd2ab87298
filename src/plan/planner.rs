//! The steps of each norm: one kernel for everything where a row fits a team, else moments, combine and apply.

use super::fit::{Rows, index};
use super::{Caps, MAX_ITERATIONS, Pass, Plan, Route, Scratch, Step, Strategy};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{BY_ELEMENT, BY_ROW, BY_UNIT, parameter_loops};
use crate::kernel::{Element, Kernel, Parameters, Params, Save, StatisticsFrom, Team};
use crate::spec::NormSpec;
use crate::spec::geometry::{Geometry, ParameterIndex, Source};

/// A software adapter has a few cores of a few lanes: this many invocations keep them busy.
pub(super) const BUSY_SOFTWARE: usize = 512;
/// Units of a tensor so small that dispatches are what costs.
const FEW_UNITS: usize = 1 << 15;
/// Bytes of a tensor whose scattered rows a software adapter still reads one by one.
const SCATTERED_BYTES: u64 = 4 << 20;
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

impl Planner<'_> {
    pub fn forward(&self) -> Result<Plan> {
        let geometry = self.geometry;
        if geometry.is_empty() {
            return self.empty();
        }
        if let NormSpec::Switchable(norm) = self.spec {
            return self.switchable(norm);
        }
        if geometry.source == Source::Running {
            let steps = match self.columns() {
                Some(element) => self.apply_columns(element, StatisticsFrom::Running)?,
                None => {
                    self.apply(self.instances(), (1, geometry.channels), &[], forward_apply(StatisticsFrom::Running))?
                }
            };
            return Ok(Plan { steps, scratch: Scratch::default(), why: "running statistics: nothing to sum".into() });
        }
        // Rows of scattered scalars are slow to read; beyond this size two more dispatches cost less.
        let chosen = self.strategy == Strategy::default();
        let scattered =
            chosen && self.caps.software && self.tensor_bytes() > SCATTERED_BYTES && self.columns().is_some();
        let row = if scattered { Err("rows are scattered".into()) } else { self.row_shape() };
        match (self.strategy.route, row) {
            (None | Some(Route::Fused), Ok(row)) => self.fused(row),
            (Some(Route::Fused), Err(reason)) => Err(Error::Strategy { reason }),
            (_, Err(reason)) => self.split(reason),
            (Some(Route::Split), Ok(_)) => self.split("the split route is forced".into()),
        }
    }

    /// No elements: outputs are empty and running statistics stay, but the batch counts.
    fn empty(&self) -> Result<Plan> {
        let counts = self.geometry.updates && !matches!(self.spec, NormSpec::Instance(_));
        let mut steps = vec![];
        let mut scratch = Scratch::default();
        if counts {
            let params = Params { rows: index(self.geometry.channels, "channels")?, ..self.params() };
            steps.push(self.step(self.combine_kernel(Team::Invocation, true), params, self.cumulative(), 0..0)?);
            scratch.statistics = self.geometry.channels as u64;
        }
        Ok(Plan { steps, scratch, why: "an empty input".into() })
    }

    // ---- one kernel for everything

    /// Team, units per lane and width of a fused row, or why there is none.
    fn row_shape(&self) -> Result<(Team, u32, Element), String> {
        let geometry = self.geometry;
        let run = geometry.row_len / geometry.runs;
        let element = self.widest(run).ok_or("16-bit rows of odd length share words")?;
        let units = geometry.row_len / element.width as usize;
        if geometry.runs > 1 && self.tensor_bytes() > self.binding_limit() {
            return Err("the tensor exceeds a binding and its rows are scattered".into());
        }
        let team = self.row_team(units);
        let forced = self.strategy.route == Some(Route::Fused) && self.strategy.team == Some(team);
        let most = match team {
            Team::Workgroup | Team::Subgroup if forced => usize::MAX,
            Team::Workgroup | Team::Subgroup => 8 * self.largest_workgroup() as usize,
            // Rows longer than its registers are read again from the cache; too few of them would leave cores idle, which
            // does not matter where all of it takes less than two more dispatches would.
            Team::Invocation => {
                let few = geometry.rows * units <= FEW_UNITS;
                let alone = units <= 64 || geometry.rows >= BUSY_SOFTWARE / 4 || few;
                // A unit is read in tiles by four loops, and written with a weight and a bias.
                let (rows, parameters) = (self.rows(), self.parameters(self.quads(self.rows(), element)));
                let iterations = 6 + 2 * parameter_loops(self.affine(rows, element), parameters, element);
                let most = MAX_ITERATIONS as usize * 3 / 4 / iterations as usize;
                if forced {
                    most
                } else if alone {
                    most.min(2048)
                } else {
                    0
                }
            }
        };
        let held = self.units_per_lane(team, units);
        if units <= most {
            Ok((team, held, element))
        } else {
            Err(format!("{} rows of {units} units are too long or too few for one team each", geometry.rows))
        }
    }

    fn fused(&self, (team, held, element): (Team, u32, Element)) -> Result<Plan> {
        let geometry = self.geometry;
        let tracks_instances = matches!(self.spec, NormSpec::Instance(_)) && geometry.updates;
        let track = geometry.updates && !tracks_instances;
        let save = match self.pass {
            _ if tracks_instances => Save::Moments,
            Pass::Forward { saves: true } => Save::Statistics,
            _ => Save::Nothing,
        };
        let rows = self.rows();
        let kernel = Kernel::ForwardRow {
            team,
            element,
            units: held,
            parameters: self.parameters(self.quads(rows, element)),
            save,
            track,
        };
        let units = geometry.row_len / element.width as usize;
        let run = units / geometry.runs;
        let mut constants = self.affine_constants(rows, element);
        constants.push(self.centered());
        constants.push(("CONTIGUOUS", u32::from(geometry.runs == 1)));
        if track {
            constants.extend(self.cumulative());
        }
        let size = self.row_size(team, units.div_ceil(held as usize));
        let tile = held as usize * size.lanes as usize;
        constants.push(("ONE_TILE", u32::from(units <= tile)));
        constants.push(("FULL", u32::from(units.is_multiple_of(tile))));
        let mut steps = vec![];
        for slice in self.slices(rows)? {
            let params = Params {
                rows: index(slice.len(), "rows")?,
                first: index(slice.start, "rows")?,
                units: index(units, "a row")?,
                row_stride: index(run, "a row")?,
                run: index(run, "a row")?,
                run_stride: if geometry.runs == 1 { 0 } else { index(run * geometry.channels, "a row")? },
                tiles: index(units.div_ceil(tile), "a row")?,
                segments: 1,
                partial_first: index(slice.start, "rows")?,
                partial_row: 1,
                parts: 1,
                ..self.row_params(rows)?
            };
            let bytes = if geometry.runs == 1 { self.bytes(&slice, rows.len) } else { 0..self.tensor_bytes() };
            steps.push(self.sized_step(kernel, params, constants.clone(), bytes, size)?);
        }
        let mut scratch = Scratch::default();
        if save != Save::Nothing {
            scratch.statistics = geometry.rows as u64;
        }
        if tracks_instances {
            scratch.moments = geometry.rows as u64;
            steps.push(self.track_instances(1)?);
        }
        let reads = if steps[0].params.tiles == 1 { "once" } else { "once, and once more from the cache" };
        let team = steps[0].team_name();
        let why = format!("{} rows of {units} units fit one {team} each: x is read {reads}", geometry.rows);
        Ok(Plan { steps, scratch, why })
    }

    // ---- moments, combine, apply

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
    pub(super) fn applied(&self) -> (Rows, usize) {
        match self.spec {
            // A group's channels have a parameter each: applied by channel, it is one for a whole row.
            NormSpec::Group(norm) if self.geometry.spatial >= PLANE_SPATIAL => {
                (self.planes(), norm.channels / norm.groups)
            }
            _ => (self.instances(), 1),
        }
    }

    fn split(&self, why: String) -> Result<Plan> {
        let geometry = self.geometry;
        let rows = self.instances();
        if let Some(element) = self.columns() {
            return self.split_columns(element, why);
        }
        let (mut steps, segments) = self.moments(rows)?;
        steps.push(match self.spec {
            NormSpec::Batch(_) => {
                let sample = geometry.channels * segments;
                self.combine(segments, segments, sample, geometry.samples * segments)?
            }
            NormSpec::Instance(_) if geometry.updates => self.track_instances(segments)?,
            _ => self.combine(segments, segments, 0, segments)?,
        });
        let moments = (rows.count * segments) as u64;
        let scratch = Scratch { moments, statistics: geometry.rows as u64, ..Scratch::default() };
        let (rows, run) = self.applied();
        let stored = forward_apply(StatisticsFrom::Stored);
        steps.extend(self.apply(rows, (run, geometry.rows), &[], stored)?);
        Ok(Plan { steps, scratch, why: format!("{why}: partial moments, combine, apply") })
    }

    /// Moments of contiguous rows, and how many segments each is cut into.
    pub(super) fn moments(&self, rows: Rows) -> Result<(Vec<Step>, usize)> {
        let constants = [self.centered(), ("CONTIGUOUS", 1)];
        self.segmented(rows, &constants, |team, element, units| Kernel::ForwardMoments { team, element, units })
    }

    /// A kernel that leaves one result per segment of each row, and how many segments that are.
    pub(super) fn segmented(
        &self,
        rows: Rows,
        constants: &[(&'static str, u32)],
        kernel: impl Fn(Team, Element, u32) -> Kernel,
    ) -> Result<(Vec<Step>, usize)> {
        let element = self.widest(rows.len).unwrap_or(Element { dtype: self.dtype, width: 1 });
        let units = rows.len / element.width as usize;
        let team = self.row_team(units);
        let held = self.units_per_lane(team, units);
        // Enough teams to keep the adapter busy, none with more tiles than the loop limit allows.
        let busy = if self.caps.software { BUSY_SOFTWARE } else { BUSY_GPU };
        let wanted = busy.div_ceil(rows.count);
        let size = self.row_size(team, units.div_ceil(wanted * held as usize));
        let tile = held as usize * size.lanes as usize;
        let kernel = kernel(team, element, held);
        // The rest is for what comes before and after the tiles.
        let most = (MAX_ITERATIONS as usize * 3 / 4) / kernel.iterations_of_tile() as usize;
        let wanted = wanted.min(units.div_ceil(tile)).max(units.div_ceil(most * tile));
        let tiles = units.div_ceil(wanted * tile);
        let segments = units.div_ceil(tiles * tile);
        let full = units.is_multiple_of(segments * tiles * tile);
        let constants = [constants, &[("FULL", u32::from(full))]].concat();
        let mut steps = vec![];
        for slice in self.slices(rows)? {
            let params = Params {
                rows: index(slice.len(), "rows")?,
                first: index(slice.start, "rows")?,
                units: index(units, "a row")?,
                row_stride: index(units, "a row")?,
                tiles: index(tiles, "a row")?,
                segments: index(segments, "a row")?,
                segment_units: index(tiles * tile, "a row")?,
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

    pub(super) fn combine_kernel(&self, team: Team, track: bool) -> Kernel {
        Kernel::ForwardCombine { team, track }
    }

    /// A combine of `units` partials per row, in runs of `run` that are `run_stride` apart.
    pub(super) fn combine(&self, row_stride: usize, run: usize, run_stride: usize, units: usize) -> Result<Step> {
        let track = self.geometry.updates;
        let params = Params {
            rows: index(self.geometry.rows, "rows")?,
            units: index(units, "partial statistics")?,
            row_stride: index(row_stride, "partial statistics")?,
            run: index(run, "partial statistics")?,
            run_stride: index(run_stride, "partial statistics")?,
            ..self.params()
        };
        let (team, size) = self.gather_team(units, 1);
        let mut constants = if track { self.cumulative() } else { vec![] };
        constants.push(("CONTIGUOUS", u32::from(run == units)));
        self.sized_step(self.combine_kernel(team, track), params, constants, 0..0, size)
    }

    /// Instance norm's running statistics, from `parts` partial moments per instance.
    fn track_instances(&self, parts: usize) -> Result<Step> {
        let geometry = self.geometry;
        let (team, size) = self.gather_team(geometry.samples, parts);
        let params = Params { rows: index(geometry.channels, "channels")?, ..self.instance_params(parts)? };
        let constants = vec![("ONE_PART", u32::from(parts == 1))];
        self.sized_step(Kernel::ForwardInstances { team }, params, constants, 0..0, size)
    }

    // ---- apply

    /// Row `r` uses statistics `(r / run) mod period`.
    pub(super) fn apply(
        &self,
        rows: Rows,
        (run, period): (usize, usize),
        extra: &[(&'static str, u32)],
        kernel: impl Fn(Team, Element, Parameters) -> Kernel,
    ) -> Result<Vec<Step>> {
        let (element, within) = match self.widest(rows.len) {
            Some(element) => (element, true),
            None => (Element { dtype: self.dtype, width: 2 }, false),
        };
        let width = element.width as usize;
        let team = self.strategy.team.unwrap_or(if self.caps.software { Team::Invocation } else { Team::Workgroup });
        let size = self.size(team, 256);
        let lanes = size.lanes as usize;
        // Units that a team takes, and the shortest row that is worth a team of its own.
        let stretch = if team == Team::Invocation { 256 } else { 8 * lanes };
        let lookup = match within {
            true if rows.len / width >= lanes.max(4) => BY_ROW,
            true => BY_UNIT,
            false => BY_ELEMENT,
        };
        let kernel = kernel(team, element, self.parameters(self.quads(rows, element)));
        let mut constants = self.affine_constants(rows, element);
        constants.push(("LOOKUP", lookup));
        constants.extend_from_slice(extra);
        let mut steps = vec![];
        for slice in self.slices(rows)? {
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
                ..self.row_params(rows)?
            };
            let bytes = self.bytes(&slice, rows.len);
            steps.push(self.sized_step(kernel, params, constants.clone(), bytes, size)?);
        }
        Ok(steps)
    }
}

pub(super) fn forward_apply(from: StatisticsFrom) -> impl Fn(Team, Element, Parameters) -> Kernel {
    move |team, element, parameters| Kernel::ForwardApply { team, element, parameters, from }
}
