//! Kernels with wgpu's run-time checks of shaders. What checks can change is which address is read or written, how often a
//! loop runs and by what is divided, none of which hangs on data (`bounds.rs`). So it is enough that each kernel runs with
//! them once in a process, on every backend: in whichever check against an oracle comes across it first.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use gpunorm::unstable::{Geometry, Gradient, Pass, Strategy};
use gpunorm::{Gpu, Plan};
use pollster::block_on;

use super::adapters;
use super::case::{Backward, GRADIENTS, Outcome, Output};
use super::variants::planned;

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

impl Output {
    /// What runs, unless the forced strategy or small bindings rule it out by a typed error.
    fn plan(&self, gpu: &Gpu, strategy: Strategy) -> Option<Plan> {
        let geometry = Geometry::new(&self.spec, self.mode, self.x.shape()).unwrap();
        planned(gpu, &geometry, &self.spec, self.dtype, strategy, Pass::forward(false))
    }

    /// The check of this case, where it can run.
    pub fn check_if_planned(&self, gpu: &Gpu, strategy: Strategy) -> Option<Outcome> {
        self.plan(gpu, strategy).map(|_| self.check(gpu, strategy))
    }

    /// Fails if the output or a running statistic is out of tolerance, with shader checks too where a kernel is new.
    pub fn check(&self, gpu: &Gpu, strategy: Strategy) -> Outcome {
        block_on(self.run(gpu, strategy))?;
        let twin = self.plan(gpu, strategy).and_then(|plan| twin(gpu, &[plan]));
        let on_twin = |twin| block_on(self.run(&twin, strategy)).map_err(|reason| format!("with checks, {reason}"));
        twin.map_or(Ok(()), on_twin)
    }
}

impl Backward {
    /// What runs, unless the forced strategy or small bindings rule it out by a typed error.
    pub fn plans(&self, gpu: &Gpu, strategy: Strategy, wanted: &[&str]) -> Option<[Plan; 2]> {
        let geometry = Geometry::new(&self.spec, self.mode, self.x.shape()).unwrap();
        let plan = |pass| planned(gpu, &geometry, &self.spec, self.dtype, strategy, pass);
        let stored = |wanted| if wanted { Gradient::Replaced } else { Gradient::Unwanted };
        let (input, parameters) = (wanted.contains(&"input"), wanted.iter().any(|&name| name != "input"));
        let backward = Pass::backward(1, stored(input), stored(parameters));
        Some([plan(Pass::forward(true))?, plan(backward)?])
    }

    /// The check of all gradients, where it can run.
    pub fn check_if_planned(&self, gpu: &Gpu, strategy: Strategy) -> Option<Outcome> {
        self.plans(gpu, strategy, &GRADIENTS).map(|_| self.check(gpu, strategy))
    }

    /// Fails if a gradient is out of tolerance, with shader checks too where a kernel is new.
    pub fn check(&self, gpu: &Gpu, strategy: Strategy) -> Outcome {
        self.check_wanted(gpu, strategy, &GRADIENTS)
    }

    /// The same of some of the gradients; the others have to be missing.
    pub fn check_wanted(&self, gpu: &Gpu, strategy: Strategy, wanted: &[&str]) -> Outcome {
        block_on(self.run(gpu, strategy, wanted))?;
        let twin = self.plans(gpu, strategy, wanted).and_then(|plans| twin(gpu, &plans));
        let on_twin =
            |twin| block_on(self.run(&twin, strategy, wanted)).map_err(|reason| format!("with checks, {reason}"));
        twin.map_or(Ok(()), on_twin)
    }
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
