//! Which tensors of a pass may not be in one buffer.

use super::names::name;
use crate::device::Tensor;
use crate::error::{Error, Result};
use crate::kernel::Binding;
use crate::plan::Plan;

/// Fails where a tensor that the pass writes is in the buffer of another one. wgpu refuses that within a dispatch, at
/// whatever offsets; between two dispatches one would read what the other has just overwritten.
pub(super) fn check(plan: &Plan, tensors: &[(Binding, &Tensor)]) -> Result<()> {
    let writes: Vec<Binding> = plan
        .steps
        .iter()
        .flat_map(|step| step.kernel.bindings().into_iter().map(|(binding, writes)| (step.resource(binding), writes)))
        .filter_map(|(binding, writes)| writes.then_some(binding))
        .collect();
    // Behind an activation, what the other steps take as dy is the gradient of what was added after.
    let behind = tensors.iter().any(|(binding, _)| *binding == Binding::OutputGradient);
    let called = |binding| name(if behind && binding == Binding::Dy { Binding::AddAfterGradient } else { binding });
    for (index, &(binding, tensor)) in tensors.iter().enumerate() {
        // Gradients of an empty input are cleared without a step.
        if !is_output(binding) && !writes.contains(&binding) {
            continue;
        }
        let mut others = tensors[..index].iter().chain(&tensors[index + 1..]);
        if let Some(&(with, _)) = others.find(|(_, other)| other.shares_buffer(tensor)) {
            return Err(Error::Aliasing { what: called(binding), with: called(with) });
        }
    }
    Ok(())
}

fn is_output(binding: Binding) -> bool {
    use Binding::*;
    matches!(
        binding,
        Y | KeptSum
            | Dx
            | AddAfterGradient
            | WeightGradient
            | BiasGradient
            | MeanWeightGradient
            | VarWeightGradient
            | AddBeforeGradient
            | ScaleGradient
            | ShiftGradient
    )
}
