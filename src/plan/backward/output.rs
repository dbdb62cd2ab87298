//! The gradient through what follows a layer: an activation, which takes the layer's output again, and a modulation.

use crate::error::{Error, Result};
use crate::kernel::{Kernel, Parameters, Params};
use crate::plan::planner::{Planner, index};
use crate::plan::steps::{Gradient, Neighbours, Pass, Plan, Step, Takes};
use crate::spec::Activation;

impl Planner<'_> {
    /// A backward of a forward with these neighbours, whose switchable norm has left `parts` partial moments per row.
    pub(in crate::plan) fn backward_beside(&self, parts: usize, neighbours: Neighbours) -> Result<Plan> {
        if let Pass::Backward { input, addend: true, .. } = self.pass {
            match input {
                Gradient::Unwanted => return self.with_dx().backward_beside(parts, neighbours),
                Gradient::Added => {
                    let reason =
                        "what is added by channel has sums of the input's gradient, which others must not be added to";
                    return Err(Error::Neighbour { reason });
                }
                Gradient::Replaced => {}
            }
        }
        // A channels-last batch norm sees places for samples; what each sample has is of these themselves.
        let folded = neighbours.modulation.map(|modulation| modulation.samples);
        let samples = folded.or(neighbours.by_channel);
        let of_samples = samples.map_or(*self.geometry, |samples| self.geometry.of_samples(samples));
        let geometry = if folded.is_some() { &of_samples } else { self.geometry };
        let folded = Planner { folded, geometry, ..*self };
        let mut plan = folded.backward(parts)?;
        if self.geometry.is_empty() {
            return Ok(plan);
        }
        if matches!(self.pass, Pass::Backward { addend: true, .. }) {
            let (steps, moments) = Planner { geometry: &of_samples, ..*self }.sums_of_dx()?;
            plan.steps.extend(steps);
            plan.scratch.dx_moments = moments as u64;
            plan.scratch.dx = self.tensor_bytes().next_multiple_of(4);
        }
        if folded.folded.is_some() {
            plan.steps.extend(folded.unfold(self.parameters(false))?);
            plan.scratch.folded_gradients = folded.folded_count() as u64;
        }
        if self.spec.activation() != Activation::Identity {
            let through = folded.through_activation(parts, neighbours)?;
            plan.exchange.iter_mut().for_each(|exchange| exchange.after += through.len());
            plan.steps.splice(0..0, through);
            plan.scratch.dy = self.tensor_bytes().next_multiple_of(4);
            plan.why = format!("through the activation, then {}", plan.why);
        }
        Ok(plan)
    }

    /// The same, with dx for its own steps if for nobody else.
    fn with_dx(&self) -> Planner<'_> {
        let mut pass = self.pass;
        if let Pass::Backward { input, .. } = &mut pass {
            *input = Gradient::Replaced;
        }
        Planner { pass, ..*self }
    }

    /// The gradient of what was added by channel: sums of dx over planes, from so many moments.
    fn sums_of_dx(&self) -> Result<(Vec<Step>, usize)> {
        let planes = self.planes();
        let (mut steps, segments) = self.moments(planes)?;
        let params =
            Params { rows: index(planes.count, "planes")?, parts: index(segments, "a plane")?, ..self.params() };
        steps.push(self.step(Kernel::BackwardAddend, params, vec![], 0..0)?);
        steps.iter_mut().for_each(|step| step.takes = Takes::Dx);
        Ok((steps, planes.count * segments))
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
