//! What all passes of a layer share: planning, preparing and profiling them.

use std::sync::Arc;
use std::time::Duration;

use super::aliasing;
use super::encode::{Resources, prepare, record_timed};
use super::norm::GpuNorm;
use super::prepared::Half;
use crate::device::{Dispatch, PROFILING, Tensor, Timestamps};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::Binding;
use crate::plan::{Layout, Pass, Plan};
use crate::spec::Mode;
use crate::spec::geometry::Geometry;

// What errors say is done.
pub(super) const RUNNING_FORWARD: &str = "running a forward";
pub(super) const RUNNING_BACKWARD: &str = "running a backward";

/// A pass and what it runs on.
#[derive(Clone, Copy)]
pub(super) struct BoundPass<'a> {
    pub(super) mode: Mode,
    pub(super) pass: Pass,
    pub(super) half: Half,
    /// Of the input's shape.
    pub(super) sliced: &'a [(Binding, &'a Tensor)],
    /// What is bound whole, before the layer's own.
    pub(super) kept: &'a [(Binding, &'a Tensor)],
}

impl GpuNorm {
    pub(super) fn plan_pass(&self, geometry: &Geometry, dtype: DType, pass: Pass, layout: Layout) -> Result<Plan> {
        Plan::laid_out(&self.spec, geometry, dtype, self.gpu.caps(), self.strategy, pass, layout)
    }

    pub(super) async fn profile_of(&self, dispatches: &[Dispatch]) -> Result<Option<Vec<(&'static str, Duration)>>> {
        let Some(timestamps) = Timestamps::new(&self.gpu, dispatches.len())? else { return Ok(None) };
        let mut encoder = self.gpu.checked().encoder(PROFILING)?;
        record_timed(&mut encoder, dispatches, &timestamps);
        let times = timestamps.finish(&self.gpu, encoder).await?;
        Ok(Some(dispatches.iter().map(|step| step.name).zip(times).collect()))
    }

    /// The dispatches of a pass, what `plan` wants done before its plan among them. What was checked and prepared before is
    /// found again.
    pub(super) fn prepare_pass(
        &self,
        bound: BoundPass,
        plan: impl FnOnce() -> Result<(Vec<Dispatch>, Plan)>,
    ) -> Result<Arc<[Dispatch]>> {
        let BoundPass { mode, pass, half, sliced, kept } = bound;
        let tensors = sliced.iter().chain(kept).copied();
        if let Some(dispatches) = self.prepared.get((mode, pass, half), tensors.clone()) {
            return Ok(dispatches);
        }
        let own = |binding| kept.iter().find(|(kept, _)| *kept == binding).map(|&(_, tensor)| tensor);
        let whole = |binding| own(binding).or_else(|| self.state.tensor(binding));
        let mut discarded = self.state.gradients();
        // A kernel that adds before has room for the sum, wanted or not.
        discarded.push((Binding::KeptSum, 16));
        discarded.extend(pass.modulation().into_iter().flat_map(|modulation| {
            let values = self.spec.parameter_shape().iter().product::<usize>() * modulation.samples;
            [Binding::ScaleGradient, Binding::ShiftGradient].map(|binding| (binding, 4 * values as u64))
        }));
        let (mut dispatches, plan) = plan()?;
        if plan.exchange.is_some() {
            let what = if matches!(pass, Pass::Forward { .. }) { "a forward" } else { "a backward" };
            return Err(Error::Synchronized { what, processes: self.processes(mode).unwrap_or(1) });
        }
        let during = match pass {
            Pass::Forward { .. } => RUNNING_FORWARD,
            Pass::Backward { .. } => RUNNING_BACKWARD,
        };
        aliasing::check(&plan, pass, &tensors.clone().chain(self.state.tensors()).collect::<Vec<_>>())?;
        let resources = Resources { sliced, discarded: &discarded, whole: &whole };
        dispatches.extend(prepare(&self.gpu, &plan, &resources, during)?);
        let dispatches: Arc<[Dispatch]> = dispatches.into();
        self.prepared.put((mode, pass, half), tensors, dispatches.clone());
        Ok(dispatches)
    }

    pub(super) fn check_gpu(&self, tensor: &Tensor, what: &'static str) -> Result<()> {
        if tensor.gpu().is(&self.gpu) { Ok(()) } else { Err(Error::OtherDevice { what }) }
    }
}
