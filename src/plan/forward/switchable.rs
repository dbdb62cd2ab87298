//! Switchable norm's forward.

use crate::error::{Error, Result};
use crate::kernel::{Kernel, Params, RunningStatistics};
use crate::plan::fit::merged;
use crate::plan::planner::{Planner, index};
use crate::plan::steps::{Plan, Route, Scratch};
use crate::spec::geometry::Source;
use crate::spec::{SwitchableNorm, Weighting};

impl Planner<'_> {
    pub(super) fn switchable(&self, norm: &SwitchableNorm) -> Result<Plan> {
        if self.strategy.route == Some(Route::Fused) {
            return Err(Error::Strategy { reason: "switchable norm has no fused route".into() });
        }
        let geometry = self.geometry;
        let rows = self.instances();
        let (mut steps, parts) = self.moments(rows)?;
        let running = match geometry.source {
            _ if !norm.batch => RunningStatistics::None,
            Source::Input if geometry.updates => RunningStatistics::Update,
            Source::Input => RunningStatistics::None,
            Source::Running => RunningStatistics::Use,
        };
        let axes = geometry.samples + if norm.batch { geometry.channels } else { 0 };
        let kinds = [(geometry.samples, geometry.channels), (axes - geometry.samples, geometry.samples)];
        let (team, size, alone) = self.items_team(kinds, merged(parts));
        let one_part = ("ONE_PART", u32::from(parts == 1));
        let mut constants = vec![
            one_part,
            ("INSTANCE", u32::from(norm.instance)),
            ("BATCH", u32::from(norm.batch)),
            ("SOFTMAX", u32::from(norm.weighting == Weighting::Softmax)),
            ("BATCH_FROM_INPUT", u32::from(geometry.source == Source::Input)),
        ];
        constants.extend(alone);
        if running == RunningStatistics::Update {
            constants.extend(self.cumulative());
        }
        let params = Params { rows: index(axes, "samples and channels")?, ..self.instance_params(parts)? };
        steps.push(self.sized_step(Kernel::ForwardAxes { team, running }, params, constants, 0..0, size)?);
        steps.extend(self.forward_apply(parts)?);
        let scratch = Scratch {
            moments: (rows.count * parts) as u64,
            axes: (geometry.samples + geometry.channels + 2) as u64,
            ..Scratch::default()
        };
        let why = "instance moments give the layer and batch ones: x is read once for all statistics".into();
        Ok(Plan { steps, scratch, why })
    }
}
