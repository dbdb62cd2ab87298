//! The statistics that switchable norm mixes.

use ndarray::{Array2, Array3, ArrayD, Axis, Zip};

use super::instances::per_row;
use super::moments::{Moments, average, largest};
use super::state::State;
use crate::spec::{SwitchableNorm, Variance, Weighting};

/// Over which instances a statistic is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Over {
    Instance,
    Sample,
    Channel,
}

impl Over {
    /// The same for all instances behind one statistic.
    pub fn key(self, n: usize, c: usize) -> (usize, usize) {
        match self {
            Over::Instance => (n, c),
            Over::Sample => (n, 0),
            Over::Channel => (0, c),
        }
    }
}

/// One of the statistics.
pub(super) struct Part {
    pub over: Over,
    pub moments: Array2<Moments>,
    /// Whether it is mixed at all.
    pub on: bool,
    pub mean_share: f64,
    pub var_share: f64,
}

/// Instance, layer and batch statistics of each instance, in this order.
pub(super) struct Mixture {
    pub parts: [Part; 3],
}

impl Mixture {
    pub fn new(norm: &SwitchableNorm, state: &State, running: Option<Array2<Moments>>, x: &Array3<f64>) -> Mixture {
        let moments = |over: Over| per_row(x, |n, c| over.key(n, c), Moments::of);
        let [mut instance, mut layer, mut batch] = [Over::Instance, Over::Sample, Over::Channel].map(moments);
        if norm.variance == Variance::Reference {
            let unbiased = |moments: Moments| Moments { var: moments.unbiased(), ..moments };
            if norm.is_flat(x.len_of(Axis(2))) {
                layer.mapv_inplace(unbiased);
                batch.mapv_inplace(unbiased);
            } else {
                instance.mapv_inplace(unbiased);
                layer = derived(&instance, layer, Over::Sample);
                batch = derived(&instance, batch, Over::Channel);
            }
        }
        let batch = running.unwrap_or(batch);
        let mut shares = shares(norm, &state.mean_weight).into_iter().zip(shares(norm, &state.var_weight));
        let mut part = |over, on: bool, moments| {
            let (mean_share, var_share) = if on { shares.next().unwrap_or_default() } else { (0.0, 0.0) };
            Part { over, moments, on, mean_share, var_share }
        };
        Mixture {
            parts: [
                part(Over::Instance, norm.instance, instance),
                part(Over::Sample, true, layer),
                part(Over::Channel, norm.batch, batch),
            ],
        }
    }

    pub fn batch(&self) -> &Part {
        &self.parts[2]
    }

    /// The statistics that each instance is normalized with.
    pub fn mixed(&self) -> Array2<Moments> {
        let mut mixed = self.batch().moments.mapv(|_| Moments { len: 1, mean: 0.0, var: 0.0 });
        for part in self.parts.iter().filter(|part| part.on) {
            mixed.zip_mut_with(&part.moments, |mixed, one| {
                mixed.len = mixed.len.max(one.len);
                mixed.mean += part.mean_share * one.mean;
                mixed.var += part.var_share * one.var;
            });
        }
        mixed
    }

    /// What rounding errors of the mixed mean are relative to, where many elements share in them: the standard deviations
    /// around the means that are mixed, and how far these are from what they give.
    pub fn spread(&self, mixed: &Array2<Moments>) -> Array2<f64> {
        let mut spread = mixed.mapv(|_| 0.0);
        for part in self.parts.iter().filter(|part| part.on) {
            Zip::from(&mut spread).and(&part.moments).and(mixed).for_each(|spread, one, mixed| {
                *spread += part.mean_share.abs() * (one.var.max(0.0).sqrt() + (one.mean - mixed.mean).abs());
            });
        }
        spread
    }

    /// What rounding errors of x̂ are relative to, for each instance ([`Forward::magnitude`](super::Forward)).
    pub fn reach(&self, x: &Array3<f64>, mixed: &Array2<Moments>, r: &Array2<f64>) -> Array2<f64> {
        let from = |moments: &Array2<Moments>, over: Over| {
            let deviation = Array3::from_shape_fn(x.dim(), |(n, c, s)| x[[n, c, s]] - moments[[n, c]].mean);
            per_row(&deviation, |n, c| over.key(n, c), largest)
        };
        let own = from(mixed, Over::Instance);
        let (mut by_means, mut by_vars) = (r.mapv(|_| 0.0), r.mapv(|_| 0.0));
        for part in self.parts.iter().filter(|part| part.on) {
            by_means.zip_mut_with(&from(&part.moments, part.over), |sum, most| *sum += part.mean_share.abs() * most);
            by_vars.zip_mut_with(&part.moments, |sum, moments| *sum += part.var_share.abs() * moments.var);
        }
        Zip::from(&own)
            .and(&by_means)
            .and(&by_vars)
            .and(r)
            .map_collect(|own, by_means, by_vars, r| (r * own * (r * r * by_vars).max(1.0)).max(r * by_means))
    }
}

fn shares(norm: &SwitchableNorm, weight: &Option<ArrayD<f64>>) -> Vec<f64> {
    let Some(weight) = weight else { return vec![] };
    if norm.weighting == Weighting::Plain {
        return weight.iter().copied().collect();
    }
    let most = weight.iter().fold(f64::NEG_INFINITY, |most, &w| most.max(w));
    let total: f64 = weight.iter().map(|w| (w - most).exp()).sum();
    weight.iter().map(|w| (w - most).exp() / total).collect()
}

/// `whole` with the variance that the authors' code derives from the instances': the mean over its instances of
/// their variance and of the squared distance of their mean from its own.
fn derived(instance: &Array2<Moments>, whole: Array2<Moments>, over: Over) -> Array2<Moments> {
    let spread = Zip::from(instance).and(&whole).map_collect(|one, whole| one.var + (one.mean - whole.mean).powi(2));
    let var = per_row(&spread.insert_axis(Axis(2)), |n, c| over.key(n, c), average);
    Zip::from(&whole).and(&var).map_collect(|&whole, &var| Moments { var, ..whole })
}
