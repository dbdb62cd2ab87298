//! What would run of a case on a device: for programs that look at plans and run nothing.

use gpunorm::unstable::{Caps, Geometry, Gradient, Pass, Strategy};
use gpunorm::{DType, Plan};

use super::cases::Case;

/// A forward alone, one for a backward, and that.
pub fn plans(case: &Case, dtype: DType, caps: &Caps) -> gpunorm::Result<[(&'static str, Plan); 3]> {
    let geometry = Geometry::new(&case.spec, case.mode, &case.shape)?;
    let plan = |pass| Plan::new(&case.spec, &geometry, dtype, caps, Strategy::default(), pass);
    let saving = plan(Pass::Forward { saves: true })?;
    // What the forward leaves of each row; only switchable norm's backward looks at it.
    let parts = saving.steps[0].params.segments.max(1) as usize;
    let parameters = if case.spec.has_weight() { Gradient::Replaced } else { Gradient::Unwanted };
    let backward = plan(Pass::Backward { parts, input: Gradient::Replaced, parameters })?;
    Ok([("forward", plan(Pass::Forward { saves: false })?), ("forward_saved", saving), ("backward", backward)])
}
