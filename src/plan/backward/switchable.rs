//! Switchable norm's backward.

use super::sums::Walk;
use crate::error::Result;
use crate::kernel::{Kernel, Parameters, Params, StatisticsFrom};
use crate::plan::fit::merged;
use crate::plan::planner::{Planner, index};
use crate::plan::steps::{AXIS_BYTES, Plan, Scratch};
use crate::spec::geometry::Source;
use crate::spec::{SwitchableNorm, Weighting};

impl Planner<'_> {
    /// Sums of each instance, what its sample and channel have of them, coefficients, apply. The forward has left
    /// `parts` partial moments per instance.
    pub(super) fn backward_switchable(&self, norm: &SwitchableNorm, parts: usize) -> Result<Plan> {
        let geometry = self.geometry;
        let rows = self.instances();
        let batch = ("BATCH", u32::from(norm.batch));
        let one_part = ("ONE_PART", u32::from(parts == 1));
        let mixed = [batch, one_part];
        let (mut steps, sum_parts) = self.sums(rows, StatisticsFrom::Mixed, false, (1, geometry.rows), &mixed)?;
        let one_sum = ("ONE_SUM", u32::from(sum_parts == 1));
        for step in &mut steps {
            step.params.parts = index(parts, "partial statistics")?;
        }
        let parameters = self.parameters(false);
        let shared = Params {
            sum_parts: index(sum_parts, "partial sums")?,
            row_len: index(geometry.spatial, "a row")?,
            ..self.with_samples(rows.count, self.instance_params(parts)?)?
        };

        let axes = Params { rows: index(geometry.samples + geometry.channels, "samples and channels")?, ..shared };
        let kinds = [(geometry.samples, geometry.channels), (geometry.channels, geometry.samples)];
        let (team, size, alone) = self.items_team(kinds, 2 * (merged(parts) + merged(sum_parts)));
        let softmax = ("SOFTMAX", u32::from(norm.weighting == Weighting::Softmax));
        let mut constants = [&[batch, one_part, one_sum, softmax], &alone[..]].concat();
        constants.extend(self.accumulates(parameters));
        constants.extend(self.by_sample());
        steps.push(self.sized_step(Kernel::BackwardAxes { team, parameters }, axes, constants, 0..0, size)?);
        // Where each sample has parameters, their gradients lie where those of channels have been.
        if self.folded.is_some() && self.gradients() != Parameters::None {
            let of_instances = (Walk::contiguous(sum_parts), geometry.rows);
            steps.push(self.combine_sums(None, parameters, Walk::NOWHERE, of_instances, sum_parts)?);
        }

        let [first, end] = [geometry.samples, geometry.samples + geometry.channels].map(|at| at as u64);
        let exchange = self.exchange_sums(steps.len(), first * AXIS_BYTES..end * AXIS_BYTES);

        let mix = Params { rows: index(geometry.rows, "instances")?, ..shared };
        let (team, size, _) = self.items_team([(geometry.rows, 1), (1, geometry.samples)], 0);
        let mut constants = vec![
            batch,
            one_part,
            one_sum,
            ("INSTANCE", u32::from(norm.instance)),
            softmax,
            ("BATCH_FROM_INPUT", u32::from(geometry.source == Source::Input)),
            self.accumulate(),
            // Each instance is a lane's.
            ("FIRST_PER_LANE", 1),
        ];
        constants.extend(self.by_sample());
        let parameters = parameters.without_bias();
        steps.push(self.sized_step(Kernel::BackwardMix { team, parameters }, mix, constants, 0..0, size)?);

        steps.extend(self.backward_apply(rows, (1, geometry.rows), false)?);
        let scratch = Scratch {
            sums: (rows.count * sum_parts) as u64,
            coefficients: geometry.rows as u64,
            axis_gradients: (3 * geometry.samples + geometry.channels) as u64,
            ..Scratch::default()
        };
        let why = "sums of instances give those of samples and channels: dy and x are read once for all".into();
        Ok(Plan { steps, scratch, why, exchange })
    }
}
