//! Forwards of three steps: partial moments, combine, apply.

use crate::error::Result;
use crate::kernel::{Binding, Element, Kernel, Params, Save, Team};
use crate::plan::fit::Size;
use crate::plan::planner::{Planner, Rows, index};
use crate::plan::steps::{Exchange, MOMENTS_BYTES, Plan, Scratch, Step, Takes};
use crate::spec::NormSpec;

impl Planner<'_> {
    pub(super) fn split(&self, why: String) -> Result<Plan> {
        let geometry = self.geometry;
        let rows = self.instances();
        if let Some(element) = self.columns() {
            return self.split_columns(element, why);
        }
        let (mut steps, segments) = self.moments(rows)?;
        let mut scratch =
            Scratch { moments: (rows.count * segments) as u64, statistics: geometry.rows as u64, ..Scratch::default() };
        let mut exchange = None;
        match self.spec {
            NormSpec::Batch(_) => {
                let sample = geometry.channels * segments;
                let of_channel = (segments, segments, sample, geometry.samples * segments);
                exchange = self.combine_channels(&mut steps, &mut scratch, of_channel)?;
            }
            NormSpec::Instance(_) if geometry.updates => steps.push(self.track_instances(segments)?),
            _ => steps.push(self.combine((segments, segments, 0, segments), Save::Statistics)?),
        }
        steps.extend(self.forward_apply(1)?);
        Ok(Plan { steps, scratch, why: format!("{why}: partial moments, combine, apply"), exchange })
    }

    /// Partial moments of rows, and how many each has.
    pub(in crate::plan) fn moments(&self, rows: Rows) -> Result<(Vec<Step>, usize)> {
        if self.interleaves() {
            return self.interleaved_moments(rows);
        }
        let constants = [self.centered(), ("CONTIGUOUS", 1)];
        let sum = self.beside().sum;
        self.segmented(rows, true, &constants, |team, element, units| Kernel::ForwardMoments {
            team,
            element,
            units,
            sum,
        })
    }

    /// A batch norm's combine; where others have shares of the batch, one of this share, and one of all of them.
    fn combine_channels(
        &self,
        steps: &mut Vec<Step>,
        scratch: &mut Scratch,
        of_channel: (usize, usize, usize, usize),
    ) -> Result<Option<Exchange>> {
        if self.geometry.shared.is_none() {
            steps.push(self.combine(of_channel, Save::Statistics)?);
            return Ok(None);
        }
        let channels = self.geometry.channels as u64;
        steps.push(self.combine(of_channel, Save::Combined)?);
        let exchange = Exchange { after: steps.len(), binding: Binding::Combined, bytes: 0..channels * MOMENTS_BYTES };
        scratch.combined = channels;
        steps.extend(self.combine_ranks(Save::Statistics, scratch)?);
        Ok(Some(exchange))
    }

    /// A merge of what all processes have found of each channel, in the order of their ranks on every device.
    pub(super) fn combine_ranks(&self, save: Save, scratch: &mut Scratch) -> Result<Option<Step>> {
        let Some(shared) = self.geometry.shared else { return Ok(None) };
        let channels = self.geometry.channels;
        scratch.rank_moments = (channels * shared.ranks) as u64;
        let alone = (Team::Invocation, self.size(Team::Invocation, 1));
        let track = self.geometry.updates;
        let mut step = self.combine_by(alone, channels, (1, 1, channels, shared.ranks), track, save)?;
        step.takes = Takes::Ranks;
        if save == Save::Combined {
            // Switchable norm's channels, after its samples.
            step.params.partial_first = index(self.geometry.samples, "samples")?;
        }
        Ok(Some(step))
    }

    /// A combine of so many partials per row as the last of these, in runs of `run` that are `run_stride` apart.
    fn combine(&self, of_row: (usize, usize, usize, usize), save: Save) -> Result<Step> {
        let track = self.geometry.updates && save == Save::Statistics;
        self.combine_by(self.reduction_team(of_row.3, 1), self.geometry.rows, of_row, track, save)
    }

    fn combine_by(
        &self,
        (team, size): (Team, Size),
        rows: usize,
        (row_stride, run, run_stride, units): (usize, usize, usize, usize),
        track: bool,
        save: Save,
    ) -> Result<Step> {
        let params = Params {
            rows: index(rows, "rows")?,
            units: index(units, "partial statistics")?,
            row_stride: index(row_stride, "partial statistics")?,
            run: index(run, "partial statistics")?,
            run_stride: index(run_stride, "partial statistics")?,
            ..self.params()
        };
        let mut constants = if track { self.cumulative() } else { vec![] };
        constants.push(("CONTIGUOUS", u32::from(run == units)));
        self.sized_step(Kernel::ForwardCombine { team, track, save }, params, constants, 0..0, size)
    }

    /// Instance norm's running statistics, from `parts` partial moments per instance.
    pub(super) fn track_instances(&self, parts: usize) -> Result<Step> {
        let geometry = self.geometry;
        let (team, size) = self.reduction_team(geometry.samples, parts);
        let params = Params { rows: index(geometry.channels, "channels")?, ..self.instance_params(parts)? };
        let constants = vec![("ONE_PART", u32::from(parts == 1))];
        self.sized_step(Kernel::ForwardInstances { team }, params, constants, 0..0, size)
    }

    pub(super) fn split_columns(&self, element: Element, why: String) -> Result<Plan> {
        let geometry = self.geometry;
        let (channel, sample) = (geometry.spatial, geometry.channels * geometry.spatial);
        let kernel = Kernel::ForwardColumns { element, sum: self.beside().sum };
        let (mut steps, chunks) = self.column_steps(kernel, element, (1, geometry.channels), &[])?;
        let mut scratch =
            Scratch { moments: (sample * chunks) as u64, statistics: geometry.rows as u64, ..Scratch::default() };
        let of_channel = (channel, channel, sample, channel * chunks);
        let exchange = self.combine_channels(&mut steps, &mut scratch, of_channel)?;
        steps.extend(self.apply_columns(element)?);
        Ok(Plan { steps, scratch, why: format!("{why}: columns' moments, combine, apply"), exchange })
    }

    pub(super) fn apply_columns(&self, element: Element) -> Result<Vec<Step>> {
        // A column is of all samples, which are modulated each.
        if !element.writes() || self.beside().modulated {
            return self.forward_apply(1);
        }
        let (parameters, from, beside) = (self.parameters(false), self.statistics(), self.beside());
        let kernel = Kernel::ForwardApplyColumns { element, parameters, from, beside };
        Ok(self.column_steps(kernel, element, (1, self.geometry.channels), &self.output_constants())?.0)
    }

    /// Of switchable norm from `parts` partial moments per instance.
    pub(super) fn forward_apply(&self, parts: usize) -> Result<Vec<Step>> {
        if let Some(steps) = self.interleaved_outputs(parts)? {
            return Ok(steps);
        }
        self.apply_outputs(parts, |team, element, parameters, from, beside| Kernel::ForwardApply {
            team,
            element,
            parameters,
            from,
            beside,
        })
    }
}
