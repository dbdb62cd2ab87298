//! What the oracle knows of a layer.

use ndarray::{Array2, ArrayD};

use super::moments::{Moments, average};
use crate::error::{Error, Result};
use crate::spec::sizes::{bytes, elements};
use crate::spec::{COUNTER, NormSpec, Weighting};

/// A layer's parameters and running statistics, under torch's names.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct State {
    /// `[C]`, or the normalized shape.
    pub weight: Option<ArrayD<f64>>,
    /// Of `weight`'s shape.
    pub bias: Option<ArrayD<f64>>,
    /// Of switchable norm: one per statistic that it mixes.
    pub mean_weight: Option<ArrayD<f64>>,
    /// Of `mean_weight`'s shape.
    pub var_weight: Option<ArrayD<f64>>,
    /// `[C]`.
    pub running_mean: Option<ArrayD<f64>>,
    /// `[C]`.
    pub running_var: Option<ArrayD<f64>>,
    /// Training forwards so far.
    pub num_batches_tracked: Option<u64>,
}

impl State {
    /// The initial values: weight 1, bias 0, running mean 0 and variance 1, no batches; of switchable norm equal
    /// shares, which are logits of 1 or plain weights of 1/k.
    ///
    /// # Errors
    /// As [`NormSpec::validate`]; [`Error::OutOfMemory`].
    pub fn new(spec: &NormSpec) -> Result<State> {
        spec.validate()?;
        let shape = spec.parameter_shape();
        // An allocation that fails would abort: try one first.
        let tried = elements(&shape).is_ok_and(|elements| Vec::<f64>::new().try_reserve_exact(elements).is_ok());
        if !tried {
            let (Ok(bytes) | Err(bytes)) = bytes(&shape, 8);
            return Err(Error::OutOfMemory { during: "making the oracle's state", bytes: Some(bytes) });
        }
        let parameter = |value| ArrayD::from_elem(shape.clone(), value);
        let share = match spec {
            NormSpec::Switchable(norm) => Some(match norm.weighting {
                Weighting::Softmax => ArrayD::ones(vec![norm.mixed()]),
                Weighting::Plain => ArrayD::from_elem(vec![norm.mixed()], 1.0 / norm.mixed() as f64),
            }),
            _ => None,
        };
        let tracked = spec.momentum().is_some();
        Ok(State {
            weight: spec.has_weight().then(|| parameter(1.0)),
            bias: spec.has_bias().then(|| parameter(0.0)),
            mean_weight: share.clone(),
            var_weight: share,
            running_mean: tracked.then(|| parameter(0.0)),
            running_var: tracked.then(|| parameter(1.0)),
            num_batches_tracked: tracked.then_some(0),
        })
    }

    /// Whether it is a state of this layer: the same arrays, of the same shapes.
    pub(super) fn check(&self, spec: &NormSpec) -> Result<()> {
        let wanted = State::new(spec)?;
        for ((key, array), (_, wanted)) in self.arrays().into_iter().zip(wanted.arrays()) {
            let key = key.to_owned();
            match (array, wanted) {
                (None, Some(_)) => return Err(Error::MissingKey { key }),
                (Some(_), None) => return Err(Error::UnexpectedKeys { keys: vec![key] }),
                (Some(array), Some(wanted)) if array.shape() != wanted.shape() => {
                    let (expected, found) = (wanted.shape().to_vec(), array.shape().to_vec());
                    return Err(Error::KeyShape { key, expected, found });
                }
                _ => {}
            }
        }
        if self.num_batches_tracked.is_none() && wanted.num_batches_tracked.is_some() {
            return Err(Error::MissingKey { key: COUNTER.to_owned() });
        }
        Ok(())
    }

    fn arrays(&self) -> [(&'static str, &Option<ArrayD<f64>>); 6] {
        [
            ("weight", &self.weight),
            ("bias", &self.bias),
            ("mean_weight", &self.mean_weight),
            ("var_weight", &self.var_weight),
            ("running_mean", &self.running_mean),
            ("running_var", &self.running_var),
        ]
    }

    /// `running = (1 − f)·running + f·batch`, literally: a NaN in either stays, whatever `f` is. The batch's statistics
    /// are the average over the samples of each instance's, which batch norm has the same in all samples.
    pub(super) fn update_running(
        &mut self,
        f: Option<f64>,
        statistics: &Array2<Moments>,
        var: impl Fn(&Moments) -> f64,
    ) {
        let (Some(f), Some(running_mean), Some(running_var)) = (f, &mut self.running_mean, &mut self.running_var)
        else {
            return;
        };
        for (c, samples) in statistics.columns().into_iter().enumerate() {
            let mean: Vec<f64> = samples.iter().map(|moments| moments.mean).collect();
            let var: Vec<f64> = samples.iter().map(&var).collect();
            running_mean[[c]] = (1.0 - f) * running_mean[[c]] + f * average(&mean);
            running_var[[c]] = (1.0 - f) * running_var[[c]] + f * average(&var);
        }
    }
}
