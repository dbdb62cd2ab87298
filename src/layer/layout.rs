//! How the tensors of a pass lie in memory, as a plan wants to know it.

use super::names::name;
use super::norm::GpuNorm;
use crate::device::Tensor;
use crate::error::Result;
use crate::kernel::Binding;
use crate::plan::{Layout, Pitched};
use crate::spec::NormSpec;
use crate::spec::strides::{Rows, trailing_rows};

/// Whether what is written replaces what it is made of, element by element, of a forward or a backward.
pub(super) fn replaces((read, source): (Binding, &Tensor), (written, output): (Binding, &Tensor)) -> bool {
    let pairs = [(Binding::X, Binding::Y), (Binding::Dy, Binding::Dx), (Binding::OutputGradient, Binding::Dx)];
    pairs.contains(&(read, written)) && source.is_same_view(output)
}

impl GpuNorm {
    /// Of these tensors, all of the input's shape, those that a plan can have apart or in one place.
    pub(super) fn layout(&self, tensors: &[(Binding, &Tensor)]) -> Result<Layout> {
        let find = |bindings: &[Binding]| {
            let find = |&wanted: &Binding| tensors.iter().find(|(binding, _)| *binding == wanted).copied();
            bindings.iter().find_map(find)
        };
        let Some(input) = find(&[Binding::X]) else { return Ok(Layout::default()) };
        let output = find(&[Binding::Y, Binding::Dx]);
        // Behind an activation, dy is a tensor of the pass's own.
        let gradient = find(&[Binding::OutputGradient, Binding::Dy]);
        let in_place = output.is_some_and(|output| {
            replaces(input, output) || gradient.is_some_and(|dy| dy.0 == Binding::Dy && replaces(dy, output))
        });
        Ok(Layout { in_place, pitched: self.pitched(input, output, gradient)? })
    }

    fn pitched(
        &self,
        input: (Binding, &Tensor),
        output: Option<(Binding, &Tensor)>,
        gradient: Option<(Binding, &Tensor)>,
    ) -> Result<Option<Pitched>> {
        let alignment = self.gpu.caps().alignment;
        let is_apart = |&(_, tensor): &(Binding, &Tensor)| !tensor.is_bound_alone(alignment);
        let Some((what, apart)) = [Some(input), output, gradient].into_iter().flatten().find(is_apart) else {
            return Ok(None);
        };
        let refused = |reason| Err(apart.strides_error(name(what), reason));
        if !matches!(self.spec, NormSpec::Layer(_) | NormSpec::Rms(_)) || self.spec.channels_first() {
            return refused(
                "only layer and RMS norm take what lies apart or begins where no binding may: contiguous() copies it",
            );
        }
        if apart.is_empty() {
            return Ok(None);
        }
        let (dtype, tensors) = (apart.dtype(), [Some(input), output, gradient].map(|given| given.unwrap_or(input).1));
        // Of the elements before them, those from where a binding may begin on.
        let first = |tensor: &Tensor| (tensor.offset() % alignment) as usize / dtype.size();
        let places = tensors.map(|tensor| (tensor.strides(), first(tensor)));
        let rows = match trailing_rows(apart.shape(), self.spec.parameter_shape().len(), places) {
            Ok(rows) if rows.are_whole_words(dtype.size()) => rows,
            Ok(_) => return refused("16-bit rows that lie apart have to begin and end on whole words"),
            Err(reason) => return refused(reason),
        };
        let Rows { period, pitches: [input, output, gradient], .. } = rows;
        Ok(Some(Pitched { period, input, output, gradient }))
    }
}
