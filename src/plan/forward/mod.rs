//! The steps of a forward: one kernel for everything where a row fits a team, else moments, combine and apply.

use crate::error::{Error, Result};
use crate::kernel::{Binding, Kernel, Params, Save, Team};
use crate::plan::planner::{Planner, index};
use crate::plan::steps::{Exchange, Pass, Plan, Route, Scratch, Strategy};
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
            let why = "running statistics: nothing to sum".into();
            return Ok(Plan { steps, scratch: Scratch::default(), why, exchange: None });
        }
        // Scattered rows are slow to read, element by element above all; beyond some size two more dispatches cost less.
        let chosen = self.strategy == Strategy::default();
        let scattered = self.columns().is_some_and(|element| {
            let by_element =
                self.widest_element(geometry.row_len / geometry.runs).is_none_or(|own| own.width < element.width);
            self.tensor_bytes() > SCATTERED_BYTES[usize::from(by_element)]
        });
        let scattered = chosen && self.caps.software && scattered;
        let row = match geometry.shared {
            Some(_) => Err("other processes have shares of the batch".into()),
            None if scattered => Err("rows are scattered".into()),
            None => self.row_shape(),
        };
        match (self.strategy.route, row) {
            (None | Some(Route::Fused), Ok(row)) => self.fused(row),
            (Some(Route::Fused), Err(reason)) => Err(Error::Strategy { reason }),
            (_, Err(reason)) => self.split(reason),
            (Some(Route::Split), Ok(_)) => self.split("the split route is forced".into()),
        }
    }

    /// No elements: outputs are empty and running statistics stay, but the batch counts.
    fn empty(&self) -> Result<Plan> {
        let (mut steps, mut scratch) = (vec![], Scratch::default());
        let mut exchange = None;
        if self.geometry.shared.is_some() {
            // Others may have some, which they do not get from here.
            exchange = Some(Exchange { after: 0, binding: Binding::Combined, bytes: 0..0 });
            steps.extend(self.combine_ranks(Save::Statistics, &mut scratch)?);
            scratch.statistics = self.geometry.channels as u64;
        } else if self.geometry.updates && !matches!(self.spec, NormSpec::Instance(_)) {
            let params = Params { rows: index(self.geometry.channels, "channels")?, ..self.params() };
            let kernel = Kernel::ForwardCombine { team: Team::Invocation, track: true, save: Save::Statistics };
            steps.push(self.step(kernel, params, self.cumulative(), 0..0)?);
            scratch.statistics = self.geometry.channels as u64;
        }
        Ok(Plan { steps, scratch, why: "an empty input".into(), exchange })
    }
}
