//! The gradient through what follows a layer: an activation, which takes the layer's output again.

use crate::error::Result;
use crate::kernel::{Kernel, StatisticsFrom};
use crate::plan::fit::merged;
use crate::plan::planner::{Planner, index};
use crate::plan::steps::{Neighbours, Pass, Plan, Step};
use crate::spec::{Activation, NormSpec};

impl Planner<'_> {
    /// A backward of a forward with these neighbours, whose switchable norm has left `parts` partial moments per row.
    pub(in crate::plan) fn backward_beside(&self, parts: usize, neighbours: Neighbours) -> Result<Plan> {
        let plan = self.backward(parts)?;
        if self.geometry.is_empty() || self.spec.activation() == Activation::Identity {
            return Ok(plan);
        }
        let output = Planner { pass: Pass::Forward { saves: false, neighbours: neighbours.after() }, ..*self };
        let steps = [output.output_gradient(parts)?, plan.steps].concat();
        let mut scratch = plan.scratch;
        scratch.dy = self.tensor_bytes().next_multiple_of(4);
        Ok(Plan { steps, scratch, why: format!("through the activation, then {}", plan.why) })
    }

    /// Of what goes into the activation.
    fn output_gradient(&self, parts: usize) -> Result<Vec<Step>> {
        let geometry = self.geometry;
        let mut constants = self.output_constants();
        let (rows, of, from) = match self.spec {
            NormSpec::Switchable(norm) => {
                constants.extend([("BATCH", u32::from(norm.batch)), ("ONE_PART", u32::from(merged(parts) == 0))]);
                (self.instances(), (1, geometry.rows), StatisticsFrom::Mixed)
            }
            _ if self.running() => (self.instances(), (1, geometry.channels), StatisticsFrom::Running),
            _ => {
                let (rows, run) = self.apply_rows();
                (rows, (run, geometry.rows), StatisticsFrom::Stored)
            }
        };
        let beside = self.beside();
        let kernel = |team, element, parameters| Kernel::BackwardOutput { team, element, parameters, from, beside };
        let mut steps = self.apply(rows, of, &constants, kernel)?;
        for step in &mut steps {
            step.params.parts = index(parts, "partial statistics")?;
        }
        Ok(steps)
    }
}
