//! What is compiled: the kernels that plans pick for the cases of the bench, each once.

use std::collections::HashMap;

use gpunorm::caps::Caps;
use gpunorm::geometry::Geometry;
use gpunorm::plan::{Gradient, Pass, Step};
use gpunorm::{DType, Plan, Strategy, reference};

use cases::Case;

// The benches use the rest.
#[allow(dead_code)]
#[path = "../harness/cases.rs"]
mod cases;

/// A GPU to compile for.
pub struct Gpu {
    /// What RADV calls it.
    pub family: &'static str,
    /// Lanes of a wave.
    pub wave: u32,
    /// The size of its subgroups, as plans know it.
    pub subgroup: Option<u32>,
}

pub const GPUS: [Gpu; 2] =
    [Gpu { family: "navi21", wave: 32, subgroup: Some(32) }, Gpu { family: "vega20", wave: 64, subgroup: Some(64) }];

/// Invocations of the largest workgroup, as plans know it.
const WORKGROUPS: [u32; 2] = [256, 1024];

/// A kernel with its overrides.
pub struct Used {
    /// The first step that runs it; others have other uniforms and sizes.
    pub step: Step,
    /// The plans that pick it.
    pub by: Vec<String>,
}

impl Used {
    pub fn workgroup(&self) -> u32 {
        self.step.constant("WORKGROUP").unwrap_or(1)
    }
}

/// Those for `gpu`, in the same order every time.
pub fn of(gpu: &Gpu) -> gpunorm::Result<Vec<Used>> {
    let (mut kernels, mut known) = (vec![], HashMap::new());
    for case in cases::all() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            for max_workgroup in WORKGROUPS {
                let caps = Caps { max_workgroup, subgroup: gpu.subgroup, ..Caps::WEBGPU };
                for (pass, plan) in plans(&case, dtype, &caps)? {
                    let by = format!("{} {pass} {dtype}, {max_workgroup}", case.id());
                    for step in plan.steps {
                        let key = (step.kernel, step.constants.clone());
                        let index = *known.entry(key).or_insert(kernels.len());
                        if index == kernels.len() {
                            kernels.push(Used { step, by: vec![] });
                        }
                        // Plans in slices have a kernel more than once.
                        if kernels[index].by.last() != Some(&by) {
                            kernels[index].by.push(by.clone());
                        }
                    }
                }
            }
        }
    }
    Ok(kernels)
}

/// A forward alone, one for a backward, and that.
fn plans(case: &Case, dtype: DType, caps: &Caps) -> gpunorm::Result<[(&'static str, Plan); 3]> {
    let geometry = Geometry::new(&case.spec, case.mode, &case.shape)?;
    let plan = |pass| Plan::new(&case.spec, &geometry, dtype, caps, Strategy::default(), pass);
    let saving = plan(Pass::Forward { saves: true })?;
    // What the forward leaves of each row; only switchable norm's backward looks at it.
    let parts = saving.steps[0].params.segments.max(1) as usize;
    let has_parameters = reference::State::new(&case.spec)?.weight.is_some();
    let parameters = if has_parameters { Gradient::Replaced } else { Gradient::Unwanted };
    let backward = plan(Pass::Backward { parts, input: Gradient::Replaced, parameters })?;
    Ok([("forward", plan(Pass::Forward { saves: false })?), ("forward_saved", saving), ("backward", backward)])
}
