//! What would run of a case on a device: for programs that look at plans and run nothing.

use gpunorm::unstable::{Caps, Geometry, Gradient, Modulation, Neighbours, Pass, Strategy};
use gpunorm::{Activation, DType, Plan};

use super::cases::Case;

/// What a device has that binds all that can stand beside a norm.
const STORAGE_BUFFERS: u32 = 11;

/// A forward alone, one for a backward, and that; and the same with all that can stand beside the norm.
pub fn plans(case: &Case, dtype: DType, caps: &Caps) -> gpunorm::Result<[(&'static str, Plan); 5]> {
    let geometry = Geometry::new(&case.spec, case.mode, &case.shape)?;
    let plan = |pass| Plan::new(&case.spec, &geometry, dtype, caps, Strategy::default(), pass);
    let saving = plan(Pass::forward(true))?;
    // What the forward leaves of each row; only switchable norm's backward looks at it.
    let parts = saving.steps[0].params.segments.max(1) as usize;
    let parameters = if case.spec.has_weight() { Gradient::Replaced } else { Gradient::Unwanted };
    let backward = plan(Pass::backward(parts, Gradient::Replaced, parameters))?;

    let spec = case.spec.clone().with_activation(Activation::Gelu);
    let caps = &Caps { max_storage_buffers: STORAGE_BUFFERS, ..*caps };
    let plan_beside = |pass| Plan::new(&spec, &geometry, dtype, caps, Strategy::default(), pass);
    let modulation = Some(Modulation { samples: case.shape[0], from_one: true, dtype: DType::F32 });
    // 16-bit rows that share words keep no sum.
    let beside = |keeps_sum| {
        let neighbours = Neighbours { add_before: true, by_channel: false, keeps_sum, modulation, add_after: true };
        plan_beside(Pass::Forward { saves: false, neighbours })
    };
    let neighbours = Neighbours { modulation, add_after: true, ..Neighbours::NONE };
    let (input, modulation, addend) = (Gradient::Replaced, true, false);
    let backward_beside = plan_beside(Pass::Backward { parts, input, parameters, modulation, addend, neighbours })?;
    Ok([
        ("forward", plan(Pass::forward(false))?),
        ("forward_saved", saving),
        ("backward", backward),
        ("forward_beside", beside(true).or_else(|_| beside(false))?),
        ("backward_beside", backward_beside),
    ])
}
