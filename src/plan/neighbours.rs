//! What goes along beside a norm, as its kernels see it.

use super::planner::{Planner, index};
use super::steps::{Neighbours, Pass, Step};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::{
    Beside, Element, GELU, GELU_TANH, IDENTITY, Kernel, LEAKY_RELU, Parameters, Params, RELU, SILU, StatisticsFrom,
    Team,
};
use crate::spec::{Activation, NormSpec};

/// Planes that have a value each.
pub(super) struct AddedPlanes {
    pub len: usize,
    /// How many of them lie in lines.
    pub interleaved: usize,
    /// Elements that lie together, of one plane or of a line.
    pub neighbours: usize,
}

impl Planner<'_> {
    /// Of a forward; a backward has none.
    pub(super) fn neighbours(&self) -> Neighbours {
        match self.pass {
            Pass::Forward { neighbours, .. } => neighbours,
            Pass::Backward { .. } => Neighbours::NONE,
        }
    }

    pub(super) fn beside(&self) -> Beside {
        let Neighbours { add_before, modulation, add_after, .. } = self.neighbours();
        Beside { sum: add_before, modulated: modulation.is_some(), added: add_after }
    }

    /// The planes that values are added to, if any are.
    pub(super) fn added_planes(&self) -> Option<AddedPlanes> {
        let (samples, channels) = (self.neighbours().by_channel?, self.geometry.channels);
        let len = self.geometry.len() / (samples * channels).max(1);
        let interleaved = if self.spec.channels_last() { channels } else { 1 };
        Some(AddedPlanes { len, interleaved, neighbours: if interleaved > 1 { interleaved } else { len } })
    }

    /// How many samples have parameters of their own, if each has.
    pub(super) fn modulated_samples(&self) -> Option<usize> {
        self.neighbours().modulation.map(|modulation| modulation.samples).or(self.folded)
    }

    /// The override of a kernel whose parameters are multiplied out with a modulation.
    pub(super) fn by_sample(&self) -> Option<(&'static str, u32)> {
        self.folded.map(|_| ("BY_SAMPLE", 1))
    }

    /// The overrides of a kernel that stores outputs.
    pub(super) fn output_constants(&self) -> Vec<(&'static str, u32)> {
        let Neighbours { add_before, keeps_sum, .. } = self.neighbours();
        let mut constants = vec![("ACTIVATION", code(self.spec.activation()))];
        constants.extend(add_before.then_some(("KEEP", u32::from(keeps_sum))));
        constants.extend(self.modulation_constants());
        constants
    }

    /// The overrides of a kernel that reads a scale and a shift, if this pass has any.
    fn modulation_constants(&self) -> Vec<(&'static str, u32)> {
        let Some(modulation) = self.neighbours().modulation else { return vec![] };
        // Beside f32 activations it is f32 always.
        let halves = ("HALVES", u32::from(modulation.dtype != DType::F32));
        let halves = (self.dtype != DType::F32).then_some(halves);
        [("FROM_ONE", u32::from(modulation.from_one))].into_iter().chain(halves).collect()
    }

    /// Those of a kernel that mixes switchable norm's statistics, from `parts` partial moments per instance.
    pub(super) fn mixed_constants(&self, parts: usize) -> Vec<(&'static str, u32)> {
        let NormSpec::Switchable(norm) = self.spec else { return vec![] };
        vec![("BATCH", u32::from(norm.batch)), ("ONE_PART", u32::from(parts == 1))]
    }

    /// An apply that finds the layer's outputs; of switchable norm from `parts` partial moments per instance.
    pub(super) fn apply_outputs(
        &self,
        parts: usize,
        kernel: impl Fn(Team, Element, Parameters, StatisticsFrom, Beside) -> Kernel,
    ) -> Result<Vec<Step>> {
        let (rows, of) = self.apply_rows();
        let (from, beside) = (self.statistics(), self.beside());
        let constants = [self.output_constants(), self.mixed_constants(parts)].concat();
        let kernel = |team, element, parameters| kernel(team, element, parameters, from, beside);
        let mut steps = self.apply(rows, of, &constants, kernel)?;
        for step in &mut steps {
            step.params.parts = index(parts, "partial statistics")?;
        }
        Ok(steps)
    }

    /// These uniforms, and those of what goes along with `rows` rows of so many parameters each sample.
    pub(super) fn with_samples(&self, rows: usize, params: Params) -> Result<Params> {
        let Some(samples) = self.modulated_samples() else { return Ok(params) };
        let sample_rows = index((rows / samples.max(1)).max(1), "rows")?;
        Ok(Params { sample_rows, sample_stride: index(self.parameter_count(), "parameters")?, ..params })
    }

    /// Values of a weight.
    pub(super) fn parameter_count(&self) -> usize {
        self.spec.parameter_shape().iter().product()
    }

    /// The same of all samples.
    pub(super) fn folded_count(&self) -> usize {
        self.parameter_count() * self.modulated_samples().unwrap_or(1)
    }

    /// The uniforms of a step with `rows` parameters, that each sample has.
    pub(super) fn parameter_params(&self, rows: usize) -> Result<Params> {
        Ok(Params {
            rows: index(rows, "parameters")?,
            samples: index(self.modulated_samples().unwrap_or(1), "samples")?,
            ..self.with_samples(self.folded_count(), self.params())?
        })
    }

    /// Multiplies the parameters out with the scale and the shift, for a backward.
    pub(super) fn fold(&self) -> Result<Step> {
        let kernel = Kernel::ForwardFold {
            element: Element { dtype: self.dtype, width: 1 },
            parameters: self.parameters(false),
        };
        self.step(kernel, self.parameter_params(self.folded_count())?, self.modulation_constants(), 0..0)
    }

    /// Fails where `element` shares words with what is not its row's: a sum cannot be kept so.
    pub(super) fn check_kept(&self, element: Option<Element>) -> Result<()> {
        if self.neighbours().keeps_sum && element.is_none() {
            return Err(Error::Neighbour {
                reason: "no sum can be kept of 16-bit rows that share words: of odd length, or interleaved and written one by one",
            });
        }
        Ok(())
    }
}

/// What part/input/sum.wgsl divides by `by` with: a multiplier, and by's bits (Granlund & Montgomery 1994, figure 4.1).
pub(super) fn divisor(by: u32) -> (u32, u32) {
    let by = by.max(1);
    let bits = u32::BITS - (by - 1).leading_zeros();
    let multiplier = (((1 << bits) - u64::from(by)) << 32) / u64::from(by) + 1;
    (multiplier as u32, bits)
}

/// Of part/common/activation.wgsl.
fn code(activation: Activation) -> u32 {
    match activation {
        Activation::Identity => IDENTITY,
        Activation::Relu => RELU,
        Activation::LeakyRelu { .. } => LEAKY_RELU,
        Activation::Silu => SILU,
        Activation::Gelu => GELU,
        Activation::GeluTanh => GELU_TANH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As part/input/sum.wgsl computes it.
    fn divided(n: u32, by: u32) -> u32 {
        let (multiplier, bits) = divisor(by);
        let high = ((u64::from(n) * u64::from(multiplier)) >> 32) as u32;
        (high + ((n - high) >> bits.min(1))) >> (bits.max(1) - 1)
    }

    #[test]
    fn divides_as_division_does() {
        let lens =
            (1..300).chain((0..32).map(|k| 1 << k)).chain([224 * 224, 65_537, u32::MAX / 3, u32::MAX - 1, u32::MAX]);
        for by in lens {
            for quotient in [0, 1, 2, 77, 65_535, u32::MAX / by - 1, u32::MAX / by] {
                let whole = quotient.saturating_mul(by);
                for n in [whole.saturating_sub(1), whole, whole.saturating_add(1), u32::MAX - quotient] {
                    assert_eq!(divided(n, by), n / by, "{n} / {by}");
                }
            }
        }
    }
}
