//! A GPU hides the latency of its memory behind what is under way: every step of the bench's cases asks for as much at once as
//! a large GPU's memory can have on its way, twice, or for half of the tensor.

use gpunorm::DType;
use gpunorm::unstable::{Caps, SubgroupSizes};

// The benches use the rest.
#[allow(dead_code)]
#[path = "../../benches/harness/cases.rs"]
mod cases;
#[path = "../../benches/harness/plans.rs"]
mod plans;

/// 4.8 TB/s times 600 ns, an H200's bandwidth and latency, twice.
const NEED: u64 = 5_760_000;

#[test]
fn every_step_asks_for_enough_at_once() {
    let mut too_little = vec![];
    for case in cases::all() {
        let bytes = |dtype: DType| (case.shape.iter().product::<usize>() * dtype.size()) as u64;
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            for (max_workgroup, size) in [(256, 32), (1024, 32), (1024, 64)] {
                let subgroup = Some(SubgroupSizes::of(size));
                let caps = Caps { max_workgroup, subgroup, max_binding: 1 << 31, max_buffer: 1 << 31, ..Caps::WEBGPU };
                let plans = plans::plans(&case, dtype, &caps).unwrap();
                for step in plans.iter().flat_map(|(_, plan)| &plan.steps) {
                    let found = step.bytes_under_way();
                    if step.kernel.element().is_some() && found < NEED.min(bytes(dtype) / 2) {
                        let kernel = step.kernel.permutation();
                        too_little.push(format!("{} {max_workgroup} {size}: {kernel}: {found}", case.id()));
                    }
                }
            }
        }
    }
    assert!(too_little.is_empty(), "{} steps:\n{}", too_little.len(), too_little.join("\n"));
}
