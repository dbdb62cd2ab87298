//! Switchable norm's forward.

use crate::error::{Error, Result};
use crate::kernel::{Binding, Kernel, Params, RunningStatistics, Save};
use crate::plan::fit::merged;
use crate::plan::planner::{Planner, index};
use crate::plan::steps::{Exchange, MOMENTS_BYTES, Plan, Route, Scratch};
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
            // Of a shared batch they follow what all have.
            Source::Input if geometry.updates && geometry.shared.is_none() => RunningStatistics::Update,
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
        let mut scratch = Scratch {
            moments: (rows.count * parts) as u64,
            axes: (geometry.samples + geometry.channels + 2) as u64,
            ..Scratch::default()
        };
        let mut exchange = None;
        if norm.batch && geometry.shared.is_some() {
            let [first, end] = [geometry.samples, geometry.samples + geometry.channels].map(|at| at as u64);
            let bytes = first * MOMENTS_BYTES..end * MOMENTS_BYTES;
            exchange = Some(Exchange { after: steps.len(), binding: Binding::Axes, bytes });
            steps.extend(self.combine_ranks(Save::Combined, &mut scratch)?);
        }
        steps.extend(self.forward_apply(parts)?);
        let why = "instance moments give the layer and batch ones: x is read once for all statistics".into();
        Ok(Plan { steps, scratch, why, exchange })
    }
}
