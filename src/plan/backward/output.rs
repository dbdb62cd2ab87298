//! The gradient through what follows a layer: an activation, which takes the layer's output again, and a modulation.

use crate::error::Result;
use crate::kernel::{Kernel, Parameters};
use crate::plan::planner::Planner;
use crate::plan::steps::{Neighbours, Pass, Plan, Step};
use crate::spec::Activation;

impl Planner<'_> {
    /// A backward of a forward with these neighbours, whose switchable norm has left `parts` partial moments per row.
    pub(in crate::plan) fn backward_beside(&self, parts: usize, neighbours: Neighbours) -> Result<Plan> {
        let folded = Planner { folded: neighbours.modulation.map(|modulation| modulation.samples), ..*self };
        let mut plan = folded.backward(parts)?;
        if self.geometry.is_empty() {
            return Ok(plan);
        }
        if folded.folded.is_some() {
            plan.steps.extend(folded.unfold(self.parameters(false))?);
            plan.scratch.folded_gradients = folded.folded_count() as u64;
        }
        if self.spec.activation() != Activation::Identity {
            plan.steps.splice(0..0, folded.through_activation(parts, neighbours)?);
            plan.scratch.dy = self.tensor_bytes().next_multiple_of(4);
            plan.why = format!("through the activation, then {}", plan.why);
        }
        Ok(plan)
    }

    fn through_activation(&self, parts: usize, neighbours: Neighbours) -> Result<Vec<Step>> {
        let output = Planner { pass: Pass::forward(false), ..*self };
        output.apply_outputs(parts, |team, element, parameters, from, _| Kernel::BackwardOutput {
            team,
            element,
            parameters,
            from,
            added: neighbours.add_after,
        })
    }

    /// From the gradients of parameters that are multiplied out: those of the scale and the shift, and of the layer's own
    /// `parameters`.
    fn unfold(&self, parameters: Parameters) -> Result<Vec<Step>> {
        let of_layer = Planner { folded: None, ..*self };
        let mut steps = vec![];
        if self.wants_modulation() {
            let params = self.parameter_params(self.folded_count())?;
            steps.push(of_layer.step(Kernel::BackwardModulation { parameters }, params, vec![], 0..0)?);
        }
        if self.wants_parameters() && parameters != Parameters::None {
            let params = self.parameter_params(self.parameter_count())?;
            let (team, size) = self.reduction_team(params.samples as usize, 0);
            let kernel = Kernel::BackwardFold { team, parameters };
            steps.push(of_layer.sized_step(kernel, params, vec![self.accumulate()], 0..0, size)?);
        }
        Ok(steps)
    }
}
