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

    /// The overrides of a kernel that stores outputs.
    pub(super) fn output_constants(&self) -> Vec<(&'static str, u32)> {
        let Neighbours { add_before, keeps_sum, modulation, .. } = self.neighbours();
        let mut constants = vec![("ACTIVATION", code(self.spec.activation()))];
        constants.extend(add_before.then_some(("KEEP", u32::from(keeps_sum))));
        if let Some(modulation) = modulation {
            constants.push(("FROM_ONE", u32::from(modulation.from_one)));
            // Beside f32 activations it is f32 always.
            let halves = ("HALVES", u32::from(modulation.dtype != DType::F32));
            constants.extend((self.dtype != DType::F32).then_some(halves));
        }
        constants
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
        let Some(modulation) = self.neighbours().modulation else { return Ok(params) };
        let values = self.spec.parameter_shape().iter().product();
        let sample_rows = index((rows / modulation.samples.max(1)).max(1), "rows")?;
        Ok(Params { sample_rows, sample_stride: index(values, "parameters")?, ..params })
    }

    /// Fails where `element` shares words with what is not its row's: a sum cannot be kept so.
    pub(super) fn check_kept(&self, element: Option<Element>) -> Result<()> {
        if self.neighbours().keeps_sum && element.is_none() {
            return Err(Error::Neighbour { reason: "16-bit rows of odd length share words: no sum can be kept" });
        }
        Ok(())
    }
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
