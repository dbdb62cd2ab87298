//! What is compiled: the kernels that plans pick for the cases of the bench, each once.

use std::collections::HashMap;

use gpunorm::unstable::{Caps, Step, SubgroupSizes};
use gpunorm::{DType, Plan};

// The benches use the rest.
#[allow(dead_code)]
#[path = "../harness/cases.rs"]
mod cases;
#[path = "../harness/plans.rs"]
mod plans;

/// A GPU to compile for.
pub struct Gpu {
    /// What RADV calls it.
    pub family: &'static str,
    /// Lanes of a wave.
    pub wave: u32,
    /// The sizes of its subgroups, as plans know them.
    pub subgroups: SubgroupSizes,
}

impl Gpu {
    /// Its wave, and of which sizes its plans are for where these are several.
    pub fn wave_name(&self) -> String {
        let SubgroupSizes { min, max } = self.subgroups;
        if min == max { self.wave.to_string() } else { format!("{} of {min}-{max}", self.wave) }
    }
}

/// RDNA's waves are of 32 or 64 lanes, as the driver likes, and its plans are for both; GCN's are of 64.
pub const GPUS: [Gpu; 4] = [
    Gpu { family: "navi21", wave: 32, subgroups: SubgroupSizes::of(32) },
    Gpu { family: "vega20", wave: 64, subgroups: SubgroupSizes::of(64) },
    Gpu { family: "navi21", wave: 32, subgroups: SubgroupSizes { min: 32, max: 64 } },
    Gpu { family: "navi21", wave: 64, subgroups: SubgroupSizes { min: 32, max: 64 } },
];

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
    for (name, plan) in plans(gpu)? {
        for step in plan.steps {
            let index = *known.entry((step.kernel, step.constants.clone())).or_insert(kernels.len());
            if index == kernels.len() {
                kernels.push(Used { step, by: vec![] });
            }
            // Plans in slices have a kernel more than once.
            if kernels[index].by.last() != Some(&name) {
                kernels[index].by.push(name.clone());
            }
        }
    }
    Ok(kernels)
}

/// The plans for all cases, and what they are called.
fn plans(gpu: &Gpu) -> gpunorm::Result<Vec<(String, Plan)>> {
    let mut plans = vec![];
    for case in cases::all() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            for max_workgroup in WORKGROUPS {
                let caps = Caps { max_workgroup, subgroup: Some(gpu.subgroups), ..Caps::WEBGPU };
                let name = |pass| format!("{} {pass} {dtype}, {max_workgroup}", case.id());
                plans.extend(plans::plans(&case, dtype, &caps)?.map(|(pass, plan)| (name(pass), plan)));
            }
        }
    }
    Ok(plans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kernel_is_there_once_and_names_its_plans() {
        for gpu in &GPUS {
            let (kernels, plans) = (of(gpu).unwrap(), plans(gpu).unwrap());
            assert_eq!(plans.len(), cases::all().len() * 3 * WORKGROUPS.len() * 5);
            for (name, plan) in &plans {
                for step in &plan.steps {
                    let is_its =
                        |used: &&Used| (used.step.kernel, &used.step.constants) == (step.kernel, &step.constants);
                    let its: Vec<&Used> = kernels.iter().filter(is_its).collect();
                    assert!(its.len() == 1 && its[0].by.contains(name), "{name}: {step:?}");
                }
            }
            let names: usize = kernels.iter().map(|used| used.by.len()).sum();
            assert!(names <= plans.iter().map(|(_, plan)| plan.steps.len()).sum());
        }
    }
}
