//! Tensors of a call beside its input.

use super::names::name;
use crate::device::{Gpu, Tensor};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::Binding;
use crate::plan::{Modulation, Neighbours};
use crate::spec::NormSpec;

/// What a call takes along: `activation((norm(x + a)·scale + shift) + c)`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beside<'a> {
    pub add_before: Option<&'a Tensor>,
    pub kept_sum: Option<&'a Tensor>,
    pub modulation: Option<ScaleShift<'a>>,
    pub add_after: Option<&'a Tensor>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ScaleShift<'a> {
    pub scale: &'a Tensor,
    pub shift: &'a Tensor,
    /// The scale is 1 and what is given.
    pub from_one: bool,
}

impl<'a> Beside<'a> {
    /// All of them.
    pub(super) fn tensors(&self) -> impl Iterator<Item = (Binding, &'a Tensor)> + use<'a> {
        let both = |ScaleShift { scale, shift, .. }: ScaleShift<'a>| {
            [(Binding::ModulationScale, scale), (Binding::ModulationShift, shift)]
        };
        let tensors = [
            (Binding::AddBefore, self.add_before),
            (Binding::KeptSum, self.kept_sum),
            (Binding::AddAfter, self.add_after),
        ];
        let like_input = tensors.into_iter().filter_map(|(binding, tensor)| Some((binding, tensor?)));
        like_input.chain(self.modulation.map(both).into_iter().flatten())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tensors().next().is_none()
    }

    /// What they are to a plan, for an input of this shape; whether they fit it is for [`check`](Self::check) to say.
    pub(super) fn neighbours(&self, spec: &NormSpec, shape: &[usize]) -> Neighbours {
        let samples = shape.first().copied().unwrap_or(0);
        let modulation =
            |ScaleShift { scale, from_one, .. }: ScaleShift| Modulation { samples, from_one, dtype: scale.dtype() };
        let by_channel =
            |a: &Tensor| !matches!(spec, NormSpec::Layer(_) | NormSpec::Rms(_)) && a.shape().len() < shape.len();
        Neighbours {
            add_before: self.add_before.is_some(),
            by_channel: self.add_before.is_some_and(by_channel),
            keeps_sum: self.kept_sum.is_some(),
            modulation: self.modulation.map(modulation),
            add_after: self.add_after.is_some(),
        }
    }

    /// Fails where one of them does not fit an input of this shape and type.
    pub(super) fn check(&self, gpu: &Gpu, spec: &NormSpec, shape: &[usize], dtype: DType) -> Result<()> {
        let neighbours = self.neighbours(spec, shape);
        for (binding, tensor) in self.tensors() {
            let by_sample = neighbours.is_whole(binding).then(|| modulation_shape(spec, shape)).transpose()?;
            let dtype = match (binding, self.modulation) {
                (Binding::ModulationScale | Binding::ModulationShift, Some(given))
                    if given.scale.dtype() == DType::F32 =>
                {
                    DType::F32
                }
                _ => dtype,
            };
            tensor.check(gpu, name(binding), by_sample.as_deref().unwrap_or(shape), dtype)?;
        }
        if self.kept_sum.is_some() && self.add_before.is_none() {
            return Err(Error::Neighbour { reason: "nothing is added before: there is no sum to keep" });
        }
        if neighbours.by_channel && self.add_before.is_some_and(|a| a.bound_units().is_none()) {
            let reason = "what is added by channel is read in units of 16 bytes, beyond which its buffer ends";
            return Err(Error::Neighbour { reason });
        }
        Ok(())
    }
}

/// `[N, C]`, or `[N, *normalized]` where all positions of a sample share them.
fn modulation_shape(spec: &NormSpec, shape: &[usize]) -> Result<Vec<usize>> {
    let parameters = spec.parameter_shape();
    let batched = match spec {
        NormSpec::Layer(_) | NormSpec::Rms(_) => shape.len() > parameters.len(),
        NormSpec::Instance(norm) => !norm.unbatched && shape.len() != 2,
        _ => true,
    };
    if !batched {
        return Err(Error::Neighbour { reason: "what goes along by sample needs an input with a batch dimension" });
    }
    Ok([&shape[..1], &parameters].concat())
}
