//! Which kernels run for an input, over which rows, with how many workgroups: every decision and every threshold.
//! Pure: the same spec, shape, element type and [`Caps`] give the same plan.
//!
//! `steps` is what a plan is, `planner` what planning looks at, `layout` where tensors lie. `forward` and `backward` choose the
//! steps; these are made of passes over `contiguous` rows or over `columns`, which are also how planes are read that are
//! `interleaved`, with uniforms and overrides from `params`, and `fit` sizes them to the
//! device.

mod backward;
mod caps;
mod columns;
mod contiguous;
mod fit;
mod forward;
mod interleaved;
mod layout;
mod neighbours;
mod params;
mod planner;
mod steps;

pub use caps::{Caps, SubgroupSizes};
use planner::Planner;
pub use steps::{
    Exchange, Gradient, Layout, MAX_ITERATIONS, Modulation, Neighbours, Pass, Pitched, Plan, Route, Scratch, Step,
    Strategy, Takes,
};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{Binding, Team};
use crate::spec::NormSpec;
use crate::spec::geometry::Geometry;

impl Plan {
    /// The steps of a forward; [unstable](crate::unstable).
    ///
    /// # Errors
    /// [`Error::TooLarge`] where the device cannot bind or address it, [`Error::Strategy`] where `strategy` cannot run.
    pub fn forward(
        spec: &NormSpec,
        geometry: &Geometry,
        dtype: DType,
        caps: &Caps,
        strategy: Strategy,
    ) -> Result<Plan> {
        Plan::new(spec, geometry, dtype, caps, strategy, Pass::forward(false))
    }

    /// The steps of `pass`; [unstable](crate::unstable).
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn new(
        spec: &NormSpec,
        geometry: &Geometry,
        dtype: DType,
        caps: &Caps,
        strategy: Strategy,
        pass: Pass,
    ) -> Result<Plan> {
        Plan::laid_out(spec, geometry, dtype, caps, strategy, pass, Layout::default())
    }

    /// The same where tensors lie as `layout` says; [unstable](crate::unstable).
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn laid_out(
        spec: &NormSpec,
        geometry: &Geometry,
        dtype: DType,
        caps: &Caps,
        strategy: Strategy,
        pass: Pass,
        layout: Layout,
    ) -> Result<Plan> {
        let caps = &caps.usable();
        if strategy.team == Some(Team::Subgroup) && caps.subgroup.is_none() {
            return Err(Error::Strategy { reason: "this device has no subgroups on".into() });
        }
        let planner = Planner { spec, geometry, dtype, caps, strategy, pass, layout, folded: None };
        let plan = match pass {
            Pass::Forward { .. } => planner.forward()?,
            Pass::Backward { parts, neighbours, .. } => planner.backward_beside(parts, neighbours)?,
        };
        plan.check(caps)?;
        Ok(plan)
    }

    fn check(&self, caps: &Caps) -> Result<()> {
        for binding in Scratch::BINDINGS {
            // What has the input's shape is bound in slices.
            let (what, most) = match binding {
                Binding::Dy | Binding::Dx => ("a gradient between two steps", u64::MAX),
                _ => ("a buffer of partial statistics", caps.max_binding),
            };
            let limit = most.min(caps.max_buffer);
            let needed = self.scratch.bytes(binding);
            if needed > limit {
                return Err(Error::TooLarge { what, needed, unit: "bytes", limit });
            }
        }
        for step in &self.steps {
            let (needed, limit) = (step.iterations(), u64::from(MAX_ITERATIONS));
            if needed > limit {
                return Err(Error::TooLarge { what: "a row of this shape", needed, unit: "loop iterations", limit });
            }
            let bindings = step.kernel.bindings();
            let (needed, limit) = (bindings.len() as u64 - 1, u64::from(caps.max_storage_buffers)); // less the uniform
            if needed > limit {
                return Err(Error::TooLarge { what: step.kernel.name(), needed, unit: "storage buffers", limit });
            }
        }
        Ok(())
    }
}
