//! The gradient through what follows a layer: an activation, which takes the layer's output again.

use crate::error::Result;
use crate::kernel::Kernel;
use crate::plan::planner::Planner;
use crate::plan::steps::{Neighbours, Pass, Plan};
use crate::spec::Activation;

impl Planner<'_> {
    /// A backward of a forward with these neighbours, whose switchable norm has left `parts` partial moments per row.
    pub(in crate::plan) fn backward_beside(&self, parts: usize, neighbours: Neighbours) -> Result<Plan> {
        let plan = self.backward(parts)?;
        if self.geometry.is_empty() || self.spec.activation() == Activation::Identity {
            return Ok(plan);
        }
        let output = Planner { pass: Pass::Forward { saves: false, neighbours: neighbours.after() }, ..*self };
        let gradient = |team, element, parameters, from, beside| Kernel::BackwardOutput {
            team,
            element,
            parameters,
            from,
            beside,
        };
        let steps = [output.apply_outputs(parts, gradient)?, plan.steps].concat();
        let mut scratch = plan.scratch;
        scratch.dy = self.tensor_bytes().next_multiple_of(4);
        Ok(Plan { steps, scratch, why: format!("through the activation, then {}", plan.why) })
    }
}
