//! The steps of a forward: one kernel for everything where a row fits a team, else moments, combine and apply.

use crate::error::{Error, Result};
use crate::kernel::{Params, Team};
use crate::plan::planner::{Planner, index};
use crate::plan::steps::{Pass, Plan, Route, Scratch, Strategy};
use crate::spec::NormSpec;

/// Bytes of a tensor whose scattered rows a software adapter still reads one by one, in units and in single elements.
const SCATTERED_BYTES: [u64; 2] = [4 << 20, 256 << 10];

mod fused;
mod split;
mod switchable;

impl Planner<'_> {
    pub fn forward(&self) -> Result<Plan> {
        let mut plan = self.outputs()?;
        let modulated = matches!(self.pass, Pass::Forward { saves: true, .. }) && self.beside().modulated;
        if modulated && !self.geometry.is_empty() {
            plan.steps.push(self.fold()?);
            plan.scratch.folded = self.folded_count() as u64;
        }
        Ok(plan)
    }

    /// The steps that find the outputs.
    fn outputs(&self) -> Result<Plan> {
        let geometry = self.geometry;
        if geometry.is_empty() {
            return self.empty();
        }
        if let NormSpec::Switchable(norm) = self.spec {
            return self.switchable(norm);
        }
        if self.running() {
            let steps = match self.columns() {
                Some(element) => self.apply_columns(element)?,
                None => self.forward_apply(1)?,
            };
            return Ok(Plan { steps, scratch: Scratch::default(), why: "running statistics: nothing to sum".into() });
        }
        // Scattered rows are slow to read, element by element above all; beyond some size two more dispatches cost less.
        let chosen = self.strategy == Strategy::default();
        let scattered = self.columns().is_some_and(|element| {
            let by_element =
                self.widest_element(geometry.row_len / geometry.runs).is_none_or(|own| own.width < element.width);
            self.tensor_bytes() > SCATTERED_BYTES[usize::from(by_element)]
        });
        let scattered = chosen && self.caps.software && scattered;
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
}
