//! Which kernels run for an input, over which rows, with how many workgroups: every decision and every threshold.
//! Pure: the same spec, shape, element type and [`Caps`] give the same plan.

use std::fmt;
use std::ops::Range;

use crate::caps::Caps;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::geometry::{Geometry, ParameterIndex, Source};
use crate::kernel::{Binding, Element, Kernel, Parameters, Params, Settle, StatisticsFrom, Team, UNITS};
use crate::spec::{Momentum, NormSpec, SwitchableNorm, Variance, Weighting};

/// Lavapipe silently ends loops after 65,535 iterations of one invocation in all; no step comes near that.
pub const MAX_ITERATIONS: u32 = 32_768;
/// A software adapter has a few cores of a few lanes: this many invocations keep them busy.
const BUSY_SOFTWARE: usize = 512;
/// A GPU wants many workgroups: with fewer than this, long rows are cut into segments.
const BUSY_GPU: usize = 1024;
/// A tensor is bound in at most this many slices; with real bindings, of 128 MiB and more, no buffer has as many.
const MAX_SLICES: usize = 1024;
/// Spatial sizes below this are summed as columns (neighbouring channels in step) rather than plane by plane.
const COLUMN_SPATIAL: usize = 16;

/// How a row is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// One kernel reads the row, takes its statistics and writes it.
    Fused,
    /// Partial moments, then a combine, then an apply.
    Split,
}

/// What planning is told to do instead of choosing by itself: for tests and experiments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Strategy {
    /// How rows are treated.
    pub route: Option<Route>,
    /// Who works on a row.
    pub team: Option<Team>,
}

/// What a forward runs, in order. `Display` prints it with the reasons.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The dispatches, in order.
    pub steps: Vec<Step>,
    /// The buffers between them.
    pub scratch: Scratch,
    /// Why these steps.
    pub why: String,
}

/// Entries of the buffers that steps hand to one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scratch {
    /// Moments, 16 bytes each.
    pub moments: u64,
    /// Statistics, 12 bytes each.
    pub statistics: u64,
    /// Layer and batch moments and the shares, 16 bytes each.
    pub axes: u64,
}

impl Scratch {
    /// Bytes of the buffer behind `binding`; at least one entry, since an empty buffer cannot be bound.
    pub fn bytes(&self, binding: Binding) -> u64 {
        match binding {
            Binding::Statistics => 12 * self.statistics.max(1),
            Binding::Axes => 16 * self.axes.max(1),
            _ => 16 * self.moments.max(1),
        }
    }
}

/// One dispatch.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The WGSL that runs.
    pub kernel: Kernel,
    /// WGSL overrides by name.
    pub constants: Vec<(&'static str, u32)>,
    /// Its uniform.
    pub params: Params,
    /// Workgroups in x and y.
    pub workgroups: [u32; 2],
    /// The bytes of x and y that it binds, relative to the tensors.
    pub bytes: Range<u64>,
}

/// Rows that lie one after the other, as a step sees them.
#[derive(Clone, Copy)]
struct Rows {
    count: usize,
    len: usize,
    parameter: ParameterIndex,
}

impl Plan {
    /// The steps of a forward.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where the device cannot bind or address it, [`Error::Strategy`] where `strategy` cannot run.
    pub fn forward(
        spec: &NormSpec,
        geometry: &Geometry,
        dtype: DType,
        caps: &Caps,
        strategy: Strategy,
    ) -> Result<Plan> {
        let planner = Planner { spec, geometry, dtype, caps, strategy };
        if strategy.team == Some(Team::Subgroup) && caps.subgroup.is_none() {
            return Err(Error::Strategy { reason: "this device has no subgroups of one size".into() });
        }
        let plan = planner.plan()?;
        plan.check(caps)?;
        Ok(plan)
    }

    fn check(&self, caps: &Caps) -> Result<()> {
        let limit = caps.max_binding.min(caps.max_buffer);
        for binding in [Binding::Moments, Binding::Statistics, Binding::Axes] {
            let needed = self.scratch.bytes(binding);
            if needed > limit {
                return Err(Error::TooLarge { what: "a buffer of partial statistics", needed, unit: "bytes", limit });
            }
        }
        match self.steps.iter().map(Step::iterations).max() {
            Some(needed) if needed > u64::from(MAX_ITERATIONS) => {
                let limit = u64::from(MAX_ITERATIONS);
                Err(Error::TooLarge { what: "a row of this shape", needed, unit: "loop iterations", limit })
            }
            _ => Ok(()),
        }
    }
}

struct Planner<'a> {
    spec: &'a NormSpec,
    geometry: &'a Geometry,
    dtype: DType,
    caps: &'a Caps,
    strategy: Strategy,
}

impl Planner<'_> {
    fn plan(&self) -> Result<Plan> {
        let geometry = self.geometry;
        if geometry.is_empty() {
            return self.empty();
        }
        if let NormSpec::Switchable(norm) = self.spec {
            return self.switchable(norm);
        }
        if geometry.source == Source::Running {
            let steps = self.apply(self.instances(), StatisticsFrom::Running, geometry.channels, &[])?;
            return Ok(Plan { steps, scratch: Scratch::default(), why: "running statistics: nothing to sum".into() });
        }
        let row = self.row_shape();
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
    fn row_shape(&self) -> std::result::Result<(Team, u32, Element), String> {
        let geometry = self.geometry;
        let run = geometry.row_len / geometry.runs;
        let element = self.widest(run).ok_or("16-bit rows of odd length share words")?;
        let units = geometry.row_len / element.width as usize;
        if geometry.runs > 1 && self.tensor_bytes() > self.binding_limit() {
            return Err("the tensor exceeds a binding and its rows are scattered".into());
        }
        let forced = self.strategy.route == Some(Route::Fused);
        let fits = |team: Team, tile: usize| forced && self.strategy.team == Some(team) || units <= tile;
        let team = self.strategy.team.unwrap_or_else(|| match self.caps.subgroup {
            _ if self.caps.software => Team::Invocation,
            Some(size) if units <= 8 * size as usize => Team::Subgroup,
            _ => Team::Workgroup,
        });
        let (tile, held) = match team {
            Team::Workgroup if units <= 128 => (128, 2),
            Team::Workgroup => (8 * self.largest_workgroup() as usize, 8),
            Team::Subgroup => {
                let size = self.caps.subgroup.unwrap_or(1) as usize;
                let held = UNITS.into_iter().find(|&held| units <= held as usize * size).unwrap_or(32);
                (32 * size, held)
            }
            // Rows longer than its registers are read again from the cache; too few of them would leave cores idle.
            Team::Invocation => {
                let alone = units <= 64 || geometry.rows >= BUSY_SOFTWARE / 4;
                (if alone { 2048 } else { 0 }, if units <= 2 { 2 } else { 8 })
            }
        };
        if fits(team, tile) {
            Ok((team, held, element))
        } else {
            Err(format!("{} rows of {units} units are too long or too few for one team each", geometry.rows))
        }
    }

    fn fused(&self, (team, held, element): (Team, u32, Element)) -> Result<Plan> {
        let geometry = self.geometry;
        let tracks_instances = matches!(self.spec, NormSpec::Instance(_)) && geometry.updates;
        let track = geometry.updates && !tracks_instances;
        let kernel = Kernel::ForwardRow {
            team,
            element,
            units: held,
            parameters: self.parameters(),
            save: tracks_instances,
            track,
        };
        let units = geometry.row_len / element.width as usize;
        let run = units / geometry.runs;
        let rows = Rows { count: geometry.rows, len: geometry.row_len, parameter: geometry.parameter };
        let mut constants = self.affine_constants(rows, element);
        constants.push(("CENTERED", u32::from(!matches!(self.spec, NormSpec::Rms(_)))));
        constants.push(("CONTIGUOUS", u32::from(geometry.runs == 1)));
        if track {
            constants.extend(self.cumulative());
        }
        let workgroup = self.workgroup(team, units.div_ceil(held as usize));
        let lanes = self.lanes(team, workgroup);
        let mut steps = vec![];
        let slices = if geometry.runs == 1 { self.slices(rows)? } else { vec![0..geometry.rows] };
        for slice in slices {
            let params = Params {
                rows: index(slice.len(), "rows")?,
                first: index(slice.start, "rows")?,
                units: index(units, "a row")?,
                row_stride: index(run, "a row")?,
                run: index(run, "a row")?,
                run_stride: index(run * geometry.channels, "a row")?,
                tiles: index(units.div_ceil(held as usize * lanes), "a row")?,
                segments: 1,
                partial_first: index(slice.start, "rows")?,
                partial_row: 1,
                parts: 1,
                ..self.row_params(rows)?
            };
            let bytes = if geometry.runs == 1 { self.bytes(&slice, rows.len) } else { 0..self.tensor_bytes() };
            steps.push(self.sized_step(kernel, params, constants.clone(), bytes, workgroup)?);
        }
        let mut scratch = Scratch::default();
        if tracks_instances {
            scratch.moments = geometry.rows as u64;
            scratch.statistics = geometry.rows as u64;
            steps.push(self.track_instances(1)?);
        }
        let reads = if steps[0].params.tiles == 1 { "once" } else { "once, and once more from the cache" };
        let why =
            format!("{} rows of {units} units fit one {} each: x is read {reads}", geometry.rows, team_name(team));
        Ok(Plan { steps, scratch, why })
    }

    // ---- moments, combine, apply

    /// The contiguous pieces that all split norms can be summed by: instances of batch norm, else its rows.
    fn instances(&self) -> Rows {
        let geometry = self.geometry;
        if geometry.runs > 1 || matches!(self.spec, NormSpec::Batch(_)) {
            let parameter = ParameterIndex { period: geometry.channels, step: 1, inner: geometry.spatial };
            return Rows { count: geometry.samples * geometry.channels, len: geometry.spatial, parameter };
        }
        Rows { count: geometry.rows, len: geometry.row_len, parameter: geometry.parameter }
    }

    fn split(&self, why: String) -> Result<Plan> {
        let geometry = self.geometry;
        let rows = self.instances();
        let columns = matches!(self.spec, NormSpec::Batch(_))
            && geometry.spatial < COLUMN_SPATIAL
            && matches!(self.strategy.team, None | Some(Team::Invocation))
            && self.tensor_bytes() <= self.binding_limit();
        let mut scratch = Scratch { statistics: geometry.rows as u64, ..Scratch::default() };
        let (mut steps, combine) = if columns {
            let (step, chunks) = self.column_moments()?;
            let (row, all) = (geometry.spatial, geometry.channels * geometry.spatial);
            scratch.moments = (all * chunks) as u64;
            (vec![step], self.combine(row, row, all, row * chunks)?)
        } else {
            let (steps, segments) = self.moments(rows)?;
            scratch.moments = (rows.count * segments) as u64;
            let combine = match self.spec {
                NormSpec::Batch(_) => {
                    let sample = geometry.channels * segments;
                    self.combine(segments, segments, sample, geometry.samples * segments)?
                }
                NormSpec::Instance(_) if geometry.updates => self.track_instances(segments)?,
                _ => self.combine(segments, segments, 0, segments)?,
            };
            (steps, combine)
        };
        steps.push(combine);
        steps.extend(self.apply(rows, StatisticsFrom::Stored, geometry.rows, &[])?);
        Ok(Plan { steps, scratch, why: format!("{why}: partial moments, combine, apply") })
    }

    /// Moments of contiguous rows, and how many segments each is cut into.
    fn moments(&self, rows: Rows) -> Result<(Vec<Step>, usize)> {
        let element = self.widest(rows.len).unwrap_or(Element { dtype: self.dtype, width: 1 });
        let units = rows.len / element.width as usize;
        let team = self.strategy.team.unwrap_or_else(|| match self.caps.subgroup {
            _ if self.caps.software || units <= 8 => Team::Invocation,
            Some(size) if units <= 8 * size as usize => Team::Subgroup,
            _ => Team::Workgroup,
        });
        let held: u32 = if units <= 2 { 2 } else { 8 };
        let workgroup = self.workgroup(team, units.div_ceil(held as usize));
        let tile = held as usize * self.lanes(team, workgroup);
        let busy = if self.caps.software { BUSY_SOFTWARE } else { BUSY_GPU };
        // Enough teams to keep the adapter busy, none with more tiles than the loop limit allows.
        let wanted = busy.div_ceil(rows.count).min(units.div_ceil(tile));
        let tiles = units.div_ceil(wanted * tile).min(MAX_ITERATIONS as usize / (4 * held as usize));
        let segments = units.div_ceil(tiles * tile);
        let constants = vec![("CENTERED", u32::from(!matches!(self.spec, NormSpec::Rms(_)))), ("CONTIGUOUS", 1)];
        let kernel = Kernel::ForwardMoments { team, element, units: held };
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
            steps.push(self.sized_step(kernel, params, constants.clone(), bytes, workgroup)?);
        }
        Ok((steps, segments))
    }

    /// Moments of batch norm's columns, channels by spatial positions, in chunks of samples; and how many chunks.
    fn column_moments(&self) -> Result<(Step, usize)> {
        let geometry = self.geometry;
        let columns = geometry.channels * geometry.spatial;
        let element = Element { dtype: self.dtype, width: 1 };
        let held = 8;
        let busy = if self.caps.software { BUSY_SOFTWARE } else { 64 * BUSY_GPU };
        let wanted = busy.div_ceil(columns).min(geometry.samples.div_ceil(2 * held)).max(1);
        let tiles = geometry.samples.div_ceil(wanted * held).min(MAX_ITERATIONS as usize / (4 * held));
        let chunks = geometry.samples.div_ceil(tiles * held);
        let kernel = Kernel::ForwardMoments { team: Team::Invocation, element, units: held as u32 };
        let columns = index(columns, "channels")?;
        let params = Params {
            rows: columns,
            units: index(geometry.samples, "samples")?,
            row_stride: 1,
            run: 1,
            run_stride: columns,
            tiles: index(tiles, "samples")?,
            segments: index(chunks, "samples")?,
            segment_units: index(tiles * held, "samples")?,
            partial_row: 1,
            partial_segment: columns,
            ..self.params()
        };
        let constants = vec![("CENTERED", 1), ("CONTIGUOUS", 0)];
        Ok((self.step(kernel, params, constants, 0..self.tensor_bytes())?, chunks))
    }

    fn combine_kernel(&self, team: Team, track: bool) -> Kernel {
        Kernel::ForwardCombine { team, track }
    }

    /// A combine of `units` partials per row, in runs of `run` that are `run_stride` apart.
    fn combine(&self, row_stride: usize, run: usize, run_stride: usize, units: usize) -> Result<Step> {
        let track = self.geometry.updates;
        let params = Params {
            rows: index(self.geometry.rows, "rows")?,
            units: index(units, "partial statistics")?,
            row_stride: index(row_stride, "partial statistics")?,
            run: index(run, "partial statistics")?,
            run_stride: index(run_stride, "partial statistics")?,
            ..self.params()
        };
        let (team, workgroup) = self.gather_team(units, 1);
        let mut constants = if track { self.cumulative() } else { vec![] };
        constants.push(("CONTIGUOUS", u32::from(run == units)));
        self.sized_step(self.combine_kernel(team, track), params, constants, 0..0, workgroup)
    }

    /// Instance norm's running statistics, from `parts` partial moments per instance.
    fn track_instances(&self, parts: usize) -> Result<Step> {
        let geometry = self.geometry;
        let (team, workgroup) = self.gather_team(geometry.samples, parts);
        let params = Params { rows: index(geometry.channels, "channels")?, ..self.instance_params(parts)? };
        self.sized_step(Kernel::ForwardInstances { team }, params, vec![], 0..0, workgroup)
    }

    // ---- switchable norm

    fn switchable(&self, norm: &SwitchableNorm) -> Result<Plan> {
        if self.strategy.route == Some(Route::Fused) {
            return Err(Error::Strategy { reason: "switchable norm has no fused route".into() });
        }
        let geometry = self.geometry;
        let rows = self.instances();
        let (mut steps, parts) = self.moments(rows)?;
        let settle = match geometry.source {
            _ if !norm.batch => Settle::None,
            Source::Input if geometry.updates => Settle::Track,
            Source::Input => Settle::None,
            Source::Running => Settle::Running,
        };
        let axes = geometry.samples + if norm.batch { geometry.channels } else { 0 };
        let (team, workgroup) = self.gather_team(geometry.samples.max(geometry.channels), parts);
        let mut constants = vec![
            ("INSTANCE", u32::from(norm.instance)),
            ("BATCH", u32::from(norm.batch)),
            ("SOFTMAX", u32::from(norm.weighting == Weighting::Softmax)),
            ("BATCH_FROM_INPUT", u32::from(geometry.source == Source::Input)),
        ];
        if settle == Settle::Track {
            constants.extend(self.cumulative());
        }
        let params = Params { rows: index(axes, "samples and channels")?, ..self.instance_params(parts)? };
        steps.push(self.sized_step(Kernel::ForwardAxes { team, settle }, params, constants, 0..0, workgroup)?);
        let mixed = [("BATCH", u32::from(norm.batch))];
        let apply = self.apply(rows, StatisticsFrom::Mixed, geometry.rows, &mixed)?;
        steps.extend(apply.into_iter().map(|mut step| {
            step.params.parts = params.parts;
            step
        }));
        let scratch = Scratch {
            moments: (rows.count * parts) as u64,
            axes: (geometry.samples + geometry.channels + 2) as u64,
            ..Scratch::default()
        };
        let why = "instance moments give the layer and batch ones: x is read once for all statistics".into();
        Ok(Plan { steps, scratch, why })
    }

    // ---- apply

    fn apply(
        &self,
        rows: Rows,
        from: StatisticsFrom,
        period: usize,
        extra: &[(&'static str, u32)],
    ) -> Result<Vec<Step>> {
        const BY_ROW: u32 = 0;
        const BY_UNIT: u32 = 1;
        const BY_ELEMENT: u32 = 2;
        let (element, within) = match self.widest(rows.len) {
            Some(element) => (element, true),
            None => (Element { dtype: self.dtype, width: 2 }, false),
        };
        let width = element.width as usize;
        let team = self.strategy.team.unwrap_or(if self.caps.software { Team::Invocation } else { Team::Workgroup });
        let workgroup = self.workgroup(team, 256);
        let lanes = self.lanes(team, workgroup);
        // Units that a team takes, and the shortest row that is worth a team of its own.
        let stretch = if team == Team::Invocation { 256 } else { 8 * lanes };
        let lookup = match within {
            true if rows.len / width >= lanes.max(4) => BY_ROW,
            true => BY_UNIT,
            false => BY_ELEMENT,
        };
        let kernel = Kernel::ForwardApply { team, element, parameters: self.parameters(), from };
        let mut constants = self.affine_constants(rows, element);
        constants.push(("LOOKUP", lookup));
        constants.extend_from_slice(extra);
        let mut steps = vec![];
        for slice in self.slices(rows)? {
            let (count, units) = match lookup {
                BY_ROW => (slice.len(), rows.len / width),
                _ => (1, (slice.len() * rows.len).div_ceil(width)),
            };
            let params = Params {
                rows: index(count, "rows")?,
                first: index(slice.start, "rows")?,
                units: index(units, "a tensor")?,
                segments: index(units.div_ceil(stretch), "a tensor")?,
                segment_units: index(stretch, "a tensor")?,
                statistics_period: index(period, "rows")?,
                ..self.row_params(rows)?
            };
            let bytes = self.bytes(&slice, rows.len);
            steps.push(self.sized_step(kernel, params, constants.clone(), bytes, workgroup)?);
        }
        Ok(steps)
    }

    // ---- what steps share

    /// The uniform's part that only depends on the layer and the geometry.
    fn params(&self) -> Params {
        let geometry = self.geometry;
        let bessel = |count: usize| if count > 1 { count as f32 / (count - 1) as f32 } else { 1.0 };
        let momentum = match self.spec.tracked() {
            Some(Momentum::Fixed(momentum)) => momentum,
            Some(Momentum::Cumulative) | None => 0.0,
        };
        let mut params =
            Params { eps: self.spec.eps(), momentum, unbias: bessel(geometry.row_len), ..Params::default() };
        if let NormSpec::Switchable(norm) = self.spec {
            (params.instance_scale, params.layer_scale, params.batch_scale) = (1.0, 1.0, 1.0);
            if norm.variance == Variance::Reference {
                if norm.is_flat(geometry.spatial) {
                    params.layer_scale = bessel(geometry.channels);
                    params.batch_scale = bessel(geometry.samples);
                } else {
                    params.instance_scale = bessel(geometry.spatial);
                }
            }
            if geometry.source == Source::Running {
                params.batch_scale = 1.0;
            }
            params.unbias = params.batch_scale;
        }
        params
    }

    fn row_params(&self, rows: Rows) -> Result<Params> {
        Ok(Params {
            row_len: index(rows.len, "a row")?,
            period: index(rows.parameter.period, "parameters")?,
            step: index(rows.parameter.step, "parameters")?,
            inner: index(rows.parameter.inner, "parameters")?,
            ..self.instance_params(1)?
        })
    }

    fn instance_params(&self, parts: usize) -> Result<Params> {
        let params = self.params();
        Ok(Params {
            samples: index(self.geometry.samples, "samples")?,
            channels: index(self.geometry.channels, "channels")?,
            parts: index(parts, "partial statistics")?,
            // Only switchable norm mixes other estimators.
            instance_scale: if matches!(self.spec, NormSpec::Switchable(_)) { params.instance_scale } else { 1.0 },
            ..params
        })
    }

    fn cumulative(&self) -> Vec<(&'static str, u32)> {
        vec![("CUMULATIVE", u32::from(self.spec.tracked() == Some(Momentum::Cumulative)))]
    }

    fn parameters(&self) -> Parameters {
        match (self.spec.has_weight(), self.spec.has_bias()) {
            (false, _) => Parameters::None,
            (true, false) => Parameters::Weight,
            (true, true) => Parameters::Both,
        }
    }

    fn affine_constants(&self, rows: Rows, element: Element) -> Vec<(&'static str, u32)> {
        let inner = rows.parameter.inner;
        let affine = match self.parameters() {
            Parameters::None => 0,
            _ if inner >= rows.len => 0,
            _ if inner % element.width as usize == 0 => 1,
            _ if inner == 1 => 2,
            _ => 3,
        };
        vec![("AFFINE", affine)]
    }

    /// The widest element that no row of `len` splits and that can be written.
    fn widest(&self, len: usize) -> Option<Element> {
        let widths = Element::widths(self.dtype);
        let fits = |&&width: &&u32| len.is_multiple_of(width as usize) && width as usize * self.dtype.size() >= 4;
        widths.iter().find(fits).map(|&width| Element { dtype: self.dtype, width })
    }

    fn tensor_bytes(&self) -> u64 {
        self.bytes(&(0..1), self.geometry.len()).end
    }

    /// Shaders address elements with 32 bits.
    fn binding_limit(&self) -> u64 {
        self.caps.max_binding.min(u64::from(u32::MAX))
    }

    /// The bytes of a range of rows; bindings end on a word.
    fn bytes(&self, slice: &Range<usize>, len: usize) -> Range<u64> {
        let byte = |row: usize| row as u64 * len as u64 * self.dtype.size() as u64;
        byte(slice.start)..byte(slice.end).next_multiple_of(4)
    }

    /// Whole rows by what one binding can cover.
    fn slices(&self, rows: Rows) -> Result<Vec<Range<usize>>> {
        let (limit, total) = (self.binding_limit(), self.tensor_bytes());
        if total <= limit {
            return Ok(vec![0..rows.count]);
        }
        // Slices begin where a binding may begin: at multiples of this many rows.
        let row_bytes = rows.len as u64 * self.dtype.size() as u64;
        let step = self.caps.alignment / gcd(self.caps.alignment, row_bytes);
        let most = limit / row_bytes / step * step;
        if most == 0 {
            let needed = row_bytes * step;
            return Err(Error::TooLarge { what: "a row of this shape in one binding", needed, unit: "bytes", limit });
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if rows.count.div_ceil(most) > MAX_SLICES {
            let limit = limit * MAX_SLICES as u64;
            return Err(Error::TooLarge { what: "this shape", needed: total, unit: "bytes", limit });
        }
        Ok((0..rows.count).step_by(most).map(|start| start..(start + most).min(rows.count)).collect())
    }

    fn largest_workgroup(&self) -> u32 {
        // Shared memory holds 16 bytes of moments per invocation.
        let most = self.caps.max_workgroup.min(self.caps.workgroup_storage / 16).clamp(1, 1024);
        1 << most.ilog2()
    }

    /// Invocations per workgroup for teams that could use `lanes` lanes.
    fn workgroup(&self, team: Team, lanes: usize) -> u32 {
        match team {
            Team::Workgroup => {
                let lanes = u32::try_from(lanes.next_power_of_two()).unwrap_or(u32::MAX);
                lanes.clamp(64, 1024).min(self.largest_workgroup())
            }
            Team::Subgroup => {
                let size = self.caps.subgroup.unwrap_or(1);
                (64.max(size)).min(self.largest_workgroup())
            }
            Team::Invocation => 64.min(self.largest_workgroup()),
        }
    }

    fn lanes(&self, team: Team, workgroup: u32) -> usize {
        match team {
            Team::Workgroup => workgroup as usize,
            Team::Subgroup => self.caps.subgroup.unwrap_or(1) as usize,
            Team::Invocation => 1,
        }
    }

    /// The team for a loop over `count` entries of `parts` each: alone where that is short.
    fn gather_team(&self, count: usize, parts: usize) -> (Team, u32) {
        let alone = if self.caps.software { 4096 } else { 8 };
        let wanted =
            self.strategy.team.unwrap_or(if count * parts <= alone { Team::Invocation } else { Team::Workgroup });
        let workgroup = self.workgroup(wanted, count);
        let fits = count.div_ceil(self.lanes(wanted, workgroup)) * (1 + parts) < MAX_ITERATIONS as usize / 2;
        if fits { (wanted, workgroup) } else { (Team::Workgroup, self.largest_workgroup()) }
    }

    fn step(
        &self,
        kernel: Kernel,
        params: Params,
        constants: Vec<(&'static str, u32)>,
        bytes: Range<u64>,
    ) -> Result<Step> {
        let workgroup = self.workgroup(kernel.team(), 64);
        self.sized_step(kernel, params, constants, bytes, workgroup)
    }

    fn sized_step(
        &self,
        kernel: Kernel,
        params: Params,
        mut constants: Vec<(&'static str, u32)>,
        bytes: Range<u64>,
        workgroup: u32,
    ) -> Result<Step> {
        constants.push(("WORKGROUP", workgroup));
        if kernel.team() == Team::Subgroup {
            constants.push(("SUBGROUP", self.caps.subgroup.unwrap_or(1)));
        }
        let teams = u64::from(params.rows) * u64::from(params.segments.max(1));
        let per_workgroup = workgroup as usize / self.lanes(kernel.team(), workgroup);
        let workgroups = self.grid(teams.div_ceil(per_workgroup as u64), per_workgroup as u64)?;
        Ok(Step { kernel, constants, params, workgroups, bytes })
    }

    /// Workgroups folded over two dimensions; the last ones may be idle.
    fn grid(&self, workgroups: u64, teams: u64) -> Result<[u32; 2]> {
        let most = u64::from(self.caps.max_workgroups);
        let y = workgroups.div_ceil(most);
        let x = workgroups.div_ceil(y.max(1));
        // The number of a team must fit 32 bits too.
        if y > most || x * y * teams > u64::from(u32::MAX) {
            let limit = (most * most).min(u64::from(u32::MAX) / teams);
            return Err(Error::TooLarge { what: "this shape", needed: workgroups, unit: "workgroups", limit });
        }
        Ok([x as u32, y as u32])
    }
}

impl Step {
    /// The value of an override.
    pub fn constant(&self, name: &str) -> Option<u32> {
        self.constants.iter().find(|(key, _)| *key == name).map(|&(_, value)| value)
    }

    /// Lanes of one team.
    pub fn lanes(&self) -> u32 {
        let name = match self.kernel.team() {
            Team::Workgroup => "WORKGROUP",
            Team::Subgroup => "SUBGROUP",
            Team::Invocation => return 1,
        };
        self.constant(name).unwrap_or(1)
    }

    /// Teams of one workgroup.
    pub fn teams(&self) -> u32 {
        match self.kernel.team() {
            Team::Workgroup => 1,
            _ => self.constant("WORKGROUP").unwrap_or(1) / self.lanes(),
        }
    }

    /// The most loop iterations that one invocation runs, inner loops included and unrolled by nobody.
    pub fn iterations(&self) -> u64 {
        let params = &self.params;
        let per_lane = |count: u32| u64::from(count.div_ceil(self.lanes()));
        let width = self.kernel.element().map_or(1, |element| u64::from(element.width));
        let gathered = if self.constant("AFFINE").is_some_and(|affine| affine < 2) { 1 } else { 1 + width };
        let reduce = u64::from(self.lanes().ilog2());
        let loops = match self.kernel {
            Kernel::ForwardRow { units, .. } => u64::from(params.tiles) * (2 + u64::from(units) * (4 + gathered)),
            Kernel::ForwardMoments { units, .. } => u64::from(params.tiles) * (1 + 3 * u64::from(units)),
            Kernel::ForwardCombine { .. } => per_lane(params.units),
            Kernel::ForwardInstances { .. } => per_lane(params.samples) * (1 + u64::from(params.parts)) + reduce,
            Kernel::ForwardAxes { .. } => per_lane(params.samples.max(params.channels)) * (1 + u64::from(params.parts)),
            Kernel::ForwardApply { from, .. } => {
                let lookups = if from == StatisticsFrom::Mixed { u64::from(params.parts) * width } else { 0 };
                per_lane(params.segment_units.min(params.units)) * (1 + gathered + lookups)
            }
        };
        loops + reduce
    }
}

fn team_name(team: Team) -> &'static str {
    match team {
        Team::Workgroup => "workgroup",
        Team::Subgroup => "subgroup",
        Team::Invocation => "invocation",
    }
}

/// Shaders count in 32 bits.
fn index(value: usize, what: &'static str) -> Result<u32> {
    let limit = u64::from(u32::MAX);
    u32::try_from(value).map_err(|_| Error::TooLarge { what, needed: value as u64, unit: "entries", limit })
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let dispatches = if self.steps.len() == 1 { "dispatch" } else { "dispatches" };
        writeln!(f, "{} {dispatches}: {}", self.steps.len(), self.why)?;
        for step in &self.steps {
            let (kernel, [x, y]) = (step.kernel, step.workgroups);
            let team = team_name(kernel.team());
            write!(f, "  {:18} {x}", kernel.name())?;
            if y > 1 {
                write!(f, " x {y}")?;
            }
            write!(f, " workgroups of {}, a row per {team}", step.constant("WORKGROUP").unwrap_or(1))?;
            if let Some(element) = kernel.element() {
                write!(f, ", {} x {} per load", element.width, element.dtype)?;
            }
            if step.params.segments > 1 {
                write!(f, ", {} segments per row", step.params.segments)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
