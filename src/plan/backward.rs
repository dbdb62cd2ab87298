//! The steps of a backward: sums of dy and dy·x̂ over rows, coefficients and gradients of parameters from them, an apply.

use super::fit::{PER_ELEMENT, PER_ROW, Rows, index};
use super::planner::{BUSY_GPU, Planner};
use super::{Pass, Plan, Route, Scratch, Step};
use crate::error::Result;
use crate::geometry::Source;
use crate::kernel::{Element, Keep, Kernel, Parameters, Params, RowsFrom, StatisticsFrom, Team};
use crate::spec::NormSpec;

/// Where a combine finds the sums of each set and of each channel: runs of `run` neighbours, `run_stride` apart.
#[derive(Clone, Copy)]
struct Walk {
    first: usize,
    stride: usize,
    run: usize,
    run_stride: usize,
    units: usize,
}

/// Rows that a team sums the columns of, at most: a sum of 8 bytes is kept for each, and read again.
const ROWS_OF_A_TEAM: usize = 16;

impl Walk {
    const NOWHERE: Walk = Walk { first: 0, stride: 0, run: 1, run_stride: 0, units: 0 };

    /// `units` neighbours for each.
    fn contiguous(units: usize) -> Walk {
        Walk { first: 0, stride: units, run: units, run_stride: 0, units }
    }

    /// One in each of `chunks` rows of `columns` sums.
    fn columns(first: usize, columns: usize, chunks: usize) -> Walk {
        Walk { first, stride: 1, run: 1, run_stride: columns, units: chunks }
    }
}

impl Planner<'_> {
    /// The forward has left `parts` partial moments per row, of switchable norm.
    pub fn backward(&self, parts: usize) -> Result<Plan> {
        if self.geometry.is_empty() {
            return Ok(Plan { steps: vec![], scratch: Scratch::default(), why: "an empty input".into() });
        }
        if let Some(row) = self.backward_row_shape() {
            return self.backward_rows(row);
        }
        match self.spec {
            NormSpec::Switchable(norm) => self.backward_switchable(norm, parts),
            NormSpec::Layer(_) | NormSpec::Rms(_) if self.spec.has_weight() => self.backward_weighted_rows(),
            _ => match self.columns() {
                Some(element) => self.backward_columns(element),
                None => self.backward_planes(),
            },
        }
    }

    pub(super) fn accumulate(&self) -> (&'static str, u32) {
        ("ACCUMULATE", u32::from(matches!(self.pass, Pass::Backward { accumulate: true, .. })))
    }

    /// The override of a kernel that writes these parameters' gradients.
    pub(super) fn accumulates(&self, parameters: Parameters) -> Option<(&'static str, u32)> {
        (parameters != Parameters::None).then(|| self.accumulate())
    }

    fn running(&self) -> bool {
        self.geometry.source == Source::Running
    }

    fn statistics(&self) -> StatisticsFrom {
        if self.running() { StatisticsFrom::Running } else { StatisticsFrom::Stored }
    }

    /// Team and units per lane of rows whose backward fits the registers of a team, if it does.
    fn backward_row_shape(&self) -> Option<(Team, u32, Element)> {
        let geometry = self.geometry;
        let rows = match self.spec {
            NormSpec::Layer(_) | NormSpec::Rms(_) | NormSpec::Instance(_) => !self.running(),
            // The channels of a group have gradients of their own.
            NormSpec::Group(_) => !self.spec.has_weight(),
            NormSpec::Batch(_) | NormSpec::Switchable(_) => false,
        };
        let team = self.team();
        if !rows || team == Team::Invocation || self.strategy.route == Some(Route::Split) {
            return None;
        }
        let element = self.widest(geometry.row_len)?;
        let units = geometry.row_len / element.width as usize;
        let few = self.caps.subgroup.filter(|_| team == Team::Subgroup).unwrap_or(64);
        let few = self.strategy.lanes.unwrap_or(few) as usize;
        let held = if units <= 2 * few { 2 } else { 8 };
        // Few long rows leave a GPU idle, as in a forward.
        let fits = units <= held as usize * self.largest_workgroup() as usize;
        fits.then_some((team, held, element))
    }

    fn backward_rows(&self, (team, units, element): (Team, u32, Element)) -> Result<Plan> {
        let geometry = self.geometry;
        let rows = self.instances();
        let parameters = self.parameters(false);
        let keep = match self.spec {
            _ if parameters == Parameters::None => Keep::Nothing,
            NormSpec::Instance(_) => Keep::Rows,
            _ => Keep::Columns,
        };
        let weights = self.parameters(self.quads(rows, element)).without_bias();
        let kernel = Kernel::BackwardRow { team, element, units, parameters: weights, keep };
        let row_units = rows.len / element.width as usize;
        let size = self.row_size(team, row_units.div_ceil(units as usize));
        // Several rows per team, while that leaves enough teams: each leaves sums of its columns.
        let together = if keep == Keep::Columns { (rows.count / BUSY_GPU).clamp(1, ROWS_OF_A_TEAM) } else { 1 };
        let mut constants = self.affine_constants(rows, element);
        let full = row_units == (units * size.lanes) as usize && rows.count.is_multiple_of(together);
        constants.extend([
            ("CENTERED", u32::from(!matches!(self.spec, NormSpec::Rms(_)))),
            ("FULL", u32::from(full)),
            self.accumulate(),
        ]);
        let (mut steps, mut kept) = (vec![], 0);
        for slice in self.slices(rows)? {
            let params = Params {
                rows: index(slice.len(), "rows")?,
                first: index(slice.start, "rows")?,
                units: index(row_units, "a row")?,
                segment_units: index(together, "rows")?,
                partial_first: index(kept, "partial sums")?,
                statistics_run: 1,
                statistics_period: index(rows.count, "rows")?,
                ..self.row_params(rows)?
            };
            kept += match keep {
                Keep::Nothing => 0,
                Keep::Rows => slice.len(),
                Keep::Columns => slice.len().div_ceil(together) * rows.len,
            };
            let bytes = self.bytes(&slice, rows.len);
            let mut step = self.sized_step(kernel, params, constants.clone(), bytes, size)?;
            if !slice.len().is_multiple_of(together) {
                step.constants.iter_mut().filter(|(name, _)| *name == "FULL").for_each(|full| full.1 = 0);
            }
            steps.push(step);
        }
        let (samples, channels) = (geometry.samples, geometry.channels);
        match keep {
            Keep::Nothing => {}
            Keep::Rows => {
                let of_channel = Walk { first: 0, stride: 1, run: 1, run_stride: channels, units: samples };
                steps.push(self.combine_sums(None, parameters, Walk::NOWHERE, (of_channel, channels), 1)?);
            }
            Keep::Columns => {
                let of_column = Walk::columns(0, rows.len, kept / rows.len);
                steps.push(self.combine_sums(None, parameters, Walk::NOWHERE, (of_column, rows.len), 1)?);
            }
        }
        let scratch = Scratch { sums: kept as u64, ..Scratch::default() };
        let why = format!("{} rows of {row_units} units fit one {} each", rows.count, steps[0].team_name());
        Ok(Plan { steps, scratch, why: format!("{why}: x and dy are read once") })
    }

    /// Rows, or planes where channels of a row have weights of their own.
    fn backward_planes(&self) -> Result<Plan> {
        let geometry = self.geometry;
        let (samples, channels) = (geometry.samples, geometry.channels);
        let parameters = self.parameters(false);
        let mut scratch = Scratch::default();
        let mut steps = vec![];
        if !self.running() || parameters != Parameters::None {
            // How many planes share statistics one after the other, and how many sets of statistics there are.
            let (rows, run, period) = match self.spec {
                NormSpec::Group(norm) if parameters != Parameters::None => {
                    (self.planes(), channels / norm.groups, geometry.rows)
                }
                _ if self.running() => (self.instances(), 1, channels),
                _ => (self.instances(), 1, geometry.rows),
            };
            let (sums, segments) = self.sums(rows, self.statistics(), false, (run, period), &[])?;
            steps.extend(sums);
            let of_channel = Walk {
                first: 0,
                stride: segments,
                run: segments,
                run_stride: channels * segments,
                units: samples * segments,
            };
            let of_set = match self.spec {
                NormSpec::Batch(_) => of_channel,
                _ => Walk::contiguous(run * segments),
            };
            let sets = (!self.running()).then(|| parameters.without_bias());
            steps.push(self.combine_sums(sets, parameters, of_set, (of_channel, channels), segments)?);
            scratch.sums = (rows.count * segments) as u64;
            scratch.coefficients = geometry.rows as u64;
        }
        let (rows, run) = self.applied();
        let period = if self.running() { channels } else { geometry.rows };
        steps.extend(self.backward_apply(rows, (run, period), self.running())?);
        Ok(Plan { steps, scratch, why: self.reason("rows") })
    }

    fn reason(&self, what: &str) -> String {
        match (self.running(), self.spec.has_weight()) {
            (true, false) => "running statistics are constants: dy is scaled".into(),
            (true, true) => format!("running statistics are constants: sums of {what} for the parameters, apply"),
            _ => format!("sums of {what}, combine, apply"),
        }
    }

    /// Batch norm seen as columns.
    fn backward_columns(&self, element: Element) -> Result<Plan> {
        let geometry = self.geometry;
        let (channel, sample) = (geometry.spatial, geometry.channels * geometry.spatial);
        let parameters = self.parameters(false);
        let mut scratch = Scratch::default();
        let mut steps = vec![];
        let samples = 0..geometry.samples;
        if !self.running() || parameters != Parameters::None {
            let kernel = Kernel::BackwardColumns { element, from: self.statistics() };
            let sums = self.column_step(kernel, element, samples.clone(), vec![])?;
            let chunks = sums.params.segments as usize;
            steps.push(sums);
            let walk = Walk { first: 0, stride: channel, run: channel, run_stride: sample, units: channel * chunks };
            let sets = (!self.running()).then(|| parameters.without_bias());
            steps.push(self.combine_sums(sets, parameters, walk, (walk, geometry.channels), 1)?);
            scratch.sums = (sample * chunks) as u64;
            scratch.coefficients = geometry.rows as u64;
        }
        let (running, parameters) = (self.running(), parameters.without_bias());
        let apply = Kernel::BackwardApplyColumns { element, parameters, running };
        steps.push(self.column_step(apply, element, samples, vec![self.accumulate()])?);
        Ok(Plan { steps, scratch, why: self.reason("columns") })
    }

    /// Rows whose elements have weights of their own: layer and RMS norm.
    fn backward_weighted_rows(&self) -> Result<Plan> {
        let rows = self.instances();
        let Some(element) = self.widest(rows.len) else { return self.backward_shared_words(rows) };
        let weights = self.parameters(self.quads(rows, element)).without_bias();
        let mut scratch = Scratch::default();
        let units = rows.len / element.width as usize;
        let (mut steps, why) = if self.blocks_of_rows(units) {
            (vec![], "blocks of rows with their sums of columns, combine")
        } else {
            let (mut steps, segments) = self.sums(rows, StatisticsFrom::Stored, true, (1, rows.count), &[])?;
            let weighted = Some(Parameters::None);
            let of_set = Walk::contiguous(segments);
            steps.push(self.combine_sums(weighted, Parameters::None, of_set, (Walk::NOWHERE, 0), segments)?);
            scratch.coefficients = rows.count as u64;
            scratch.sums = (rows.count * segments) as u64;
            (steps, "sums of rows, combine, dx and sums of columns, combine")
        };
        let from = if steps.is_empty() { RowsFrom::Own } else { RowsFrom::Stored };
        // Few rows at once where they are long: an invocation has to loop over all of them.
        let units = if units > 512 { Kernel::ROWS[0] } else { Kernel::ROWS[1] };
        let kernel = Kernel::BackwardRows { element, units, parameters: weights, rows: from };
        let chunks = self.row_blocks(&mut steps, rows, kernel, element, 0)?;
        let of_column = (Walk::columns(0, rows.len, chunks), rows.len);
        steps.push(self.combine_sums(None, self.parameters(false), Walk::NOWHERE, of_column, 1)?);
        scratch.sums = scratch.sums.max((chunks * rows.len) as u64);
        Ok(Plan { steps, scratch, why: why.into() })
    }

    /// Whether blocks of whole rows are small enough to be read twice from a cache: a block is one invocation's.
    fn blocks_of_rows(&self, units: usize) -> bool {
        let forced = matches!(self.strategy.route, Some(Route::Fused));
        let chosen = self.caps.software && self.strategy.route.is_none();
        (forced || chosen) && matches!(self.strategy.team, None | Some(Team::Invocation)) && units <= 1024
    }

    /// Layer and RMS norm of 16-bit rows of odd length, which share words: no block of columns can write dx.
    fn backward_shared_words(&self, rows: Rows) -> Result<Plan> {
        let element = Element { dtype: self.dtype, width: 1 };
        let (mut steps, segments) = self.sums(rows, StatisticsFrom::Stored, true, (1, rows.count), &[])?;
        let kernel = Kernel::BackwardRows {
            element,
            units: Kernel::ROWS[0],
            parameters: Parameters::None,
            rows: RowsFrom::Statistics,
        };
        // After the sums of the rows.
        let first = rows.count * segments;
        let chunks = self.row_blocks(&mut steps, rows, kernel, element, first)?;
        let of_column = (Walk::columns(first, rows.len, chunks), rows.len);
        let of_set = Walk::contiguous(segments);
        let weighted = Some(Parameters::None);
        steps.push(self.combine_sums(weighted, self.parameters(false), of_set, of_column, segments)?);
        steps.extend(self.backward_apply(rows, (1, rows.count), false)?);
        let scratch =
            Scratch { sums: (first + chunks * rows.len) as u64, coefficients: rows.count as u64, ..Scratch::default() };
        Ok(Plan { steps, scratch, why: "rows share words: sums of rows and of columns, combine, apply".into() })
    }

    /// Steps that own blocks of columns in chunks of rows; how many sums they leave for each column, after `first`
    /// others.
    fn row_blocks(
        &self,
        steps: &mut Vec<Step>,
        rows: Rows,
        kernel: Kernel,
        element: Element,
        first: usize,
    ) -> Result<usize> {
        let mut constants = vec![];
        if let Kernel::BackwardRows { rows: from, units, .. } = kernel {
            constants.extend((from != RowsFrom::Statistics).then(|| self.accumulate()));
            let centered = u32::from(!matches!(self.spec, NormSpec::Rms(_)));
            if from == RowsFrom::Own {
                let whole = rows.len.is_multiple_of((units * element.width) as usize);
                constants.extend([("CENTERED", centered), ("WHOLE", u32::from(whole))]);
            }
        }
        let mut chunks = 0;
        for slice in self.slices(rows)? {
            let mut step = self.column_step(kernel, element, slice.clone(), constants.clone())?;
            step.params.partial_first = index(first + chunks * rows.len, "partial sums")?;
            step.params.statistics_period = index(rows.count, "rows")?;
            step.params.row_len = index(rows.len, "a row")?;
            step.bytes = self.bytes(&slice, rows.len);
            chunks += step.params.segments as usize;
            steps.push(step);
        }
        Ok(chunks)
    }

    /// Sums over pieces of `rows`, weighted or not, and how many pieces each has.
    pub(super) fn sums(
        &self,
        rows: Rows,
        from: StatisticsFrom,
        weighted: bool,
        (run, period): (usize, usize),
        extra: &[(&'static str, u32)],
    ) -> Result<(Vec<Step>, usize)> {
        let constants = [extra, &[("WEIGHTED", u32::from(weighted))]].concat();
        let (mut steps, segments) = self.segmented(rows, &constants, |team, element, units| {
            let parameters = match weighted {
                true => self.parameters(self.quads(rows, element)).without_bias(),
                false => Parameters::None,
            };
            Kernel::BackwardSums { team, element, units, parameters, from }
        })?;
        for step in &mut steps {
            step.params.statistics_run = index(run, "rows")?;
            step.params.statistics_period = index(period, "rows")?;
        }
        Ok((steps, segments))
    }

    /// Coefficients of the sets, whose sums these weights are missing from, if any; and the gradients of `parameters`,
    /// one per channel.
    fn combine_sums(
        &self,
        sets: Option<Parameters>,
        parameters: Parameters,
        of_set: Walk,
        (of_channel, channels): (Walk, usize),
        sum_parts: usize,
    ) -> Result<Step> {
        let geometry = self.geometry;
        let rows = if sets.is_some() { geometry.rows } else { 0 };
        let channels = if parameters == Parameters::None { 0 } else { channels };
        let parameter = geometry.parameter;
        let params = Params {
            rows: index(rows, "rows")?,
            row_len: index(geometry.row_len, "a row")?,
            units: index(of_set.units, "partial sums")?,
            row_stride: index(of_set.stride, "partial sums")?,
            run: index(of_set.run, "partial sums")?,
            run_stride: index(of_set.run_stride, "partial sums")?,
            channels: index(channels, "channels")?,
            channel_first: index(of_channel.first, "partial sums")?,
            channel_stride: index(of_channel.stride, "partial sums")?,
            channel_run: index(of_channel.run, "partial sums")?,
            channel_run_stride: index(of_channel.run_stride, "partial sums")?,
            channel_units: index(of_channel.units, "partial sums")?,
            sum_parts: index(sum_parts, "partial sums")?,
            statistics_run: 1,
            statistics_period: index(geometry.rows, "rows")?,
            period: index(parameter.period, "parameters")?,
            step: index(parameter.step, "parameters")?,
            inner: 1,
            ..self.params()
        };
        let (team, size) = self.gather_team(of_set.units.max(of_channel.units), 1);
        // Of a set's planes, those of a group have neighbouring weights.
        let affine = match self.spec {
            NormSpec::Group(_) if sets == Some(Parameters::Weight) => PER_ELEMENT,
            _ => PER_ROW,
        };
        let mut constants = vec![
            ("TOGETHER", u32::from(of_channel.run == 1)),
            ("AFFINE", affine),
            ("CONTIGUOUS", u32::from(of_set.run == of_set.units)),
        ];
        if sets.is_some() {
            constants.push(("CENTERED", u32::from(!matches!(self.spec, NormSpec::Rms(_)))));
        }
        constants.extend(self.accumulates(parameters));
        self.sized_step(Kernel::BackwardCombine { team, sets, parameters }, params, constants, 0..0, size)
    }

    /// dx from coefficients; row `r` uses `(r / run) mod period`.
    pub(super) fn backward_apply(&self, rows: Rows, of: (usize, usize), running: bool) -> Result<Vec<Step>> {
        let kernel = move |team, element, parameters: Parameters| {
            let parameters = parameters.without_bias();
            Kernel::BackwardApply { team, element, parameters, running }
        };
        self.apply(rows, of, &[self.accumulate()], kernel)
    }
}
