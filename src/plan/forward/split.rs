//! Forwards of three steps: partial moments, combine, apply.

use crate::error::Result;
use crate::kernel::{Element, Kernel, Params, Team};
use crate::plan::planner::{Planner, Rows, index};
use crate::plan::steps::{Plan, Scratch, Step};
use crate::spec::NormSpec;

impl Planner<'_> {
    pub(super) fn split(&self, why: String) -> Result<Plan> {
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
        steps.extend(self.forward_apply(1)?);
        Ok(Plan { steps, scratch, why: format!("{why}: partial moments, combine, apply") })
    }

    /// Moments of contiguous rows, and how many segments each is cut into.
    pub(in crate::plan) fn moments(&self, rows: Rows) -> Result<(Vec<Step>, usize)> {
        let constants = [self.centered(), ("CONTIGUOUS", 1)];
        let sum = self.beside().sum;
        self.segmented(rows, true, &constants, |team, element, units| Kernel::ForwardMoments {
            team,
            element,
            units,
            sum,
        })
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
        let (team, size) = self.reduction_team(units, 1);
        let mut constants = if track { self.cumulative() } else { vec![] };
        constants.push(("CONTIGUOUS", u32::from(run == units)));
        self.sized_step(self.combine_kernel(team, track), params, constants, 0..0, size)
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
        let (mut steps, chunks) = self.column_steps(kernel, element, &[])?;
        steps.push(self.combine(channel, channel, sample, channel * chunks)?);
        steps.extend(self.apply_columns(element)?);
        let scratch =
            Scratch { moments: (sample * chunks) as u64, statistics: geometry.rows as u64, ..Scratch::default() };
        Ok(Plan { steps, scratch, why: format!("{why}: columns' moments, combine, apply") })
    }

    pub(super) fn apply_columns(&self, element: Element) -> Result<Vec<Step>> {
        // A column is of all samples, which are modulated each.
        if !element.writes() || self.beside().modulated {
            return self.forward_apply(1);
        }
        let (parameters, from, beside) = (self.parameters(false), self.statistics(), self.beside());
        let kernel = Kernel::ForwardApplyColumns { element, parameters, from, beside };
        Ok(self.column_steps(kernel, element, &self.output_constants())?.0)
    }

    /// Of switchable norm from `parts` partial moments per instance.
    pub(super) fn forward_apply(&self, parts: usize) -> Result<Vec<Step>> {
        self.apply_outputs(parts, |team, element, parameters, from, beside| Kernel::ForwardApply {
            team,
            element,
            parameters,
            from,
            beside,
        })
    }
}
