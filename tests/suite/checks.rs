//! Kernels with wgpu's run-time checks of shaders. What checks can change is which address is read or written, how often a
//! loop runs and by what is divided, none of which hangs on data (`bounds.rs`). So it is enough that each kernel runs with
//! them once in a process, on every backend: in whichever check against an oracle comes across it first.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use gpunorm::{Gpu, Plan};

use super::adapters;

/// Kernels that have run with checks, by backend.
static SEEN: Mutex<BTreeSet<(String, String)>> = Mutex::new(BTreeSet::new());

/// A device like `gpu` with checks, if a step of `plans` is the first to run its kernel.
pub fn twin(gpu: &Gpu, plans: &[Plan]) -> Option<Gpu> {
    is_new(&format!("{:?}", gpu.adapter_info().backend), plans).then(|| adapters::with_checks(gpu))
}

fn is_new(backend: &str, plans: &[Plan]) -> bool {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut new = false;
    for step in plans.iter().flat_map(|plan| &plan.steps) {
        new |= seen.insert((backend.to_owned(), step.kernel.permutation()));
    }
    new
}

#[test]
fn a_kernel_is_new_once() {
    let plan = gpunorm::GpuNorm::new(adapters::first(), gpunorm::LayerNorm::new([8]))
        .unwrap()
        .plan(&[3, 8], gpunorm::DType::F32)
        .unwrap();
    assert!(is_new("a backend of this test", std::slice::from_ref(&plan)));
    assert!(!is_new("a backend of this test", &[plan]));
}
