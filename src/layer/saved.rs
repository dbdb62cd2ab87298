//! What a saved forward holds.

use std::sync::Arc;

use crate::device::Tensor;
use crate::kernel::Binding;
use crate::plan::{Neighbours, Pass, Plan, Scratch};
use crate::spec::geometry::Geometry;
use crate::spec::{Mode, NormSpec};

/// What a backward needs of its forward: the input (the sum, where something was added to it), its statistics, what followed the
/// layer, and copies of the parameters and of running statistics that were used, as they were. Whatever happens to the layer later,
/// the gradients are those of that forward; or of the last one that was put in its place, by
/// [`GpuNorm::encode_forward_again`](crate::GpuNorm::encode_forward_again).
/// Clones share the memory.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Whose forward it was.
    pub(super) layer: Arc<()>,
    pub(super) mode: Mode,
    pub(super) geometry: Geometry,
    pub(super) neighbours: Neighbours,
    /// Partial moments per row.
    pub(super) parts: usize,
    pub(super) x: Tensor,
    /// What went along.
    pub(super) beside: Vec<(Binding, Tensor)>,
    /// What the forward's kernels leave, and copies of the layer's arrays.
    pub(super) kept: Vec<(Binding, Tensor)>,
}

fn borrowed(tensors: &[(Binding, Tensor)]) -> impl Iterator<Item = (Binding, &Tensor)> {
    tensors.iter().map(|(binding, tensor)| (*binding, tensor))
}

impl Saved {
    pub(super) fn kept(&self) -> impl Iterator<Item = (Binding, &Tensor)> {
        borrowed(&self.kept)
    }

    pub(super) fn beside(&self, binding: Binding) -> Option<&Tensor> {
        borrowed(&self.beside).find(|(beside, _)| *beside == binding).map(|(_, tensor)| tensor)
    }

    /// What went along that is bound whole, or in slices as the input is.
    pub(super) fn along(&self, whole: bool) -> impl Iterator<Item = (Binding, &Tensor)> {
        borrowed(&self.beside).filter(move |&(binding, _)| self.neighbours.is_whole(binding) == whole)
    }

    /// What the layer normalized.
    pub(super) fn normalized(&self) -> &Tensor {
        self.beside(Binding::KeptSum).unwrap_or(&self.x)
    }

    pub(super) fn pass(&self) -> Pass {
        Pass::Forward { saves: true, neighbours: self.neighbours }
    }

    /// What a forward into `y` binds: in slices, and whole.
    pub(super) fn bound<'t>(&'t self, y: &'t Tensor) -> [Vec<(Binding, &'t Tensor)>; 2] {
        let sliced = [(Binding::X, &self.x), (Binding::Y, y)].into_iter().chain(self.along(false));
        [sliced.collect(), self.kept().chain(self.along(true)).collect()]
    }

    /// Work with all of it and with `other` may be in the app's hands from now on.
    pub(super) fn forbid_reuse(&self, other: &Tensor) {
        let own = self.kept().chain(borrowed(&self.beside)).map(|(_, tensor)| tensor);
        own.chain([&self.x, other]).for_each(Tensor::forbid_reuse);
    }

    /// Whether a forward by `plan` leaves the same.
    pub(super) fn matches_plan(&self, plan: &Plan, spec: &NormSpec) -> bool {
        let mut scratch = self.kept().filter(|(binding, _)| Scratch::BINDINGS.contains(binding));
        let same = |(binding, tensor): (_, &Tensor)| tensor.byte_len() == plan.scratch.bytes(binding);
        self.parts == plan.parts(spec) && scratch.all(same)
    }
}
