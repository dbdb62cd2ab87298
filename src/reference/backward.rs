//! The oracle's backward pass: the chain rule from the output through every mean and variance, set by set.

use ndarray::{Array1, Array2, Array3, ArrayD, Axis, Zip};

use super::forward::tolerance;
use super::instances::{inverse_std, parameter, per_row, row, running, unview, view};
use super::moments::{Moments, average, largest, sum};
use super::state::State;
use super::switchable::{Mixture, Over};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::spec::geometry::Geometry;
use crate::spec::{Mode, NormSpec, SwitchableNorm, Variance, Weighting};

/// A gradient, and what the rounding errors of one that is computed in f32 are relative to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Gradient {
    /// The gradient.
    pub value: ArrayD<f64>,
    /// Of each element, the size of what was added up to it.
    pub magnitude: ArrayD<f64>,
    /// The most elements behind any sum or statistic in it.
    pub terms: usize,
}

impl Gradient {
    /// How far a gradient that is computed in f32 from exact inputs may be off, if means are held as pairs:
    ///
    /// `4·u·magnitude·(8 + log2 terms)`, with `u = 2⁻²⁴`.
    ///
    /// As [`tolerance`](super::tolerance) of a forward: each of the sums over `terms` elements is off by at most
    /// `log2 terms` roundings of what is summed, and so are the statistics in it; 8 is for the products and differences
    /// around them, 4 for the sums' sequential leaves and WGSL's division and `inverseSqrt`. `magnitude` is,
    /// with `h = dy·weight` and maxima over the set that shares a statistic,
    ///
    /// * for the input `max(r·|h|)·(1 + max|x̂|)`; of switchable norm the sum of
    ///   `max(r·|h|)·(|w| + |w'|·(max|x − μ|·r)·max(1, mean|x̂|))` over the statistics μ that an element's are mixed from,
    ///   with their shares `w` and `w'` (elsewhere mean|x̂| is at most 1);
    /// * for the weight `Σ |dy|·(|x̂| + r·σ)`, where `r·σ` is for the error of the mean, of switchable norm `r·s` with the `s`
    ///   below; for the bias `Σ |dy|`;
    /// * for switchable norm's logits `w_k·Σ r·(A·Σ_j w_j·|μ_k − μ_j| + |H|·(σ_k + Σ_j w_j·σ_j))` and
    ///   `w'_k·Σ ½·r²·((A' + |H|·r·s)·Σ_j w'_j·|v_k − v_j| + |H'|·(v_k + Σ_j w'_j·v_j))` over the instances, with their sums
    ///   `A` of |h|, `H` of h, `A'` of |h·x̂| and `H'` of h·x̂: what rounding takes from a sum counts by the distances of the
    ///   statistics, what it takes from a statistic by the sum, and what it takes from the mixed mean by
    ///   `s = Σ_j w_j·(σ_j + |μ_j − μ|)`. For its plain weights without the share and with `|μ_k|` and `v_k` in place of
    ///   the differences.
    ///
    /// F16 and BF16 gradients are rounded once more: one ulp at `magnitude`.
    pub fn tolerance(&self, dtype: DType) -> ArrayD<f64> {
        // 8 + log2 terms = 4 + log2(16 terms).
        self.magnitude.mapv(|magnitude| tolerance(magnitude, 16 * self.terms, dtype))
    }
}

/// The gradients of `Σ output·dy`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Gradients {
    /// Of the input's shape.
    pub input: Gradient,
    /// Of the parameters that the layer has, in their shapes.
    pub weight: Option<Gradient>,
    /// As `weight`.
    pub bias: Option<Gradient>,
    /// As `weight`.
    pub mean_weight: Option<Gradient>,
    /// As `weight`.
    pub var_weight: Option<Gradient>,
}

impl Gradients {
    /// All of them, by what they are of.
    pub fn named(&self) -> [(&'static str, Option<&Gradient>); 5] {
        [
            ("input", Some(&self.input)),
            ("weight", self.weight.as_ref()),
            ("bias", self.bias.as_ref()),
            ("mean_weight", self.mean_weight.as_ref()),
            ("var_weight", self.var_weight.as_ref()),
        ]
    }

    /// In the same order.
    pub(super) fn all_mut(&mut self) -> [Option<&mut Gradient>; 5] {
        let parameters = [&mut self.weight, &mut self.bias, &mut self.mean_weight, &mut self.var_weight];
        let [weight, bias, mean_weight, var_weight] = parameters.map(Option::as_mut);
        [Some(&mut self.input), weight, bias, mean_weight, var_weight]
    }
}

/// Elements that share a statistic, and how much of it is mixed into the one that they are normalized with.
struct Set<'a> {
    key: &'a dyn Fn(usize, usize) -> (usize, usize),
    moments: &'a Array2<Moments>,
    mean_share: f64,
    var_share: f64,
    /// The derivative of its variance by one of its elements.
    slope: &'a dyn Fn(usize, usize, usize) -> f64,
}

/// The gradients of one forward pass of `x` with `state` as it was before that pass.
///
/// # Errors
/// As [`forward`](super::forward); [`Error::Shape`] for a `dy` of another shape than `x`.
pub fn backward(spec: &NormSpec, mode: Mode, state: &State, x: &ArrayD<f64>, dy: &ArrayD<f64>) -> Result<Gradients> {
    Geometry::new(spec, mode, x.shape())?;
    state.check(spec)?;
    if dy.shape() != x.shape() {
        let (expected, found) = (x.shape().to_vec(), dy.shape().to_vec());
        return Err(Error::Shape { what: "dy", expected, found });
    }
    if x.is_empty() {
        let zeros =
            |array: &Option<ArrayD<f64>>| array.as_ref().map(|array| of(array.map(|_| 0.0), array.map(|_| 0.0), 1));
        return Ok(Gradients {
            input: of(x.clone(), x.clone(), 1),
            weight: zeros(&state.weight),
            bias: zeros(&state.bias),
            mean_weight: zeros(&state.mean_weight),
            var_weight: zeros(&state.var_weight),
        });
    }

    let (input, dy) = (view(spec, x), view(spec, dy));
    let (samples, channels, spatial) = input.dim();
    let running = running(state, mode, samples, channels);
    let evaluates = running.is_some();
    let weight = parameter(spec, &state.weight, 1.0);
    let h = Array3::from_shape_fn(input.dim(), |(n, c, s)| dy[[n, c, s]] * weight(c, s));

    let one_row = |n, c| row(spec, n, c);
    let (mut mean_weight, mut var_weight) = (None, None);
    let (magnitude, terms, dx, statistics, r, spread);
    match spec {
        NormSpec::Switchable(norm) => {
            let mixture = Mixture::new(norm, state, running, &input);
            let mixed = mixture.mixed();
            r = inverse_std(spec, &mixed);
            let slopes = [0, 1, 2].map(|k| slope(norm, &mixture, k, &input));
            let keys = mixture.parts.each_ref().map(|part| move |n, c| part.over.key(n, c));
            let sets: Vec<Set> = (0..3)
                .filter(|&k| mixture.parts[k].on && !(evaluates && mixture.parts[k].over == Over::Channel))
                .map(|k| {
                    let part = &mixture.parts[k];
                    let (mean_share, var_share) = (part.mean_share, part.var_share);
                    Set { key: &keys[k], moments: &part.moments, mean_share, var_share, slope: &slopes[k] }
                })
                .collect();
            (dx, magnitude, terms) = through(&input, &h, &mixed, &r, &sets);
            (mean_weight, var_weight) = shares(norm, &mixture, &input, &h, &mixed, &r);
            spread = mixture.spread(&mixed);
            statistics = mixed;
        }
        _ => {
            let rms = matches!(spec, NormSpec::Rms(_));
            let reduce = if rms { Moments::around_zero } else { Moments::of };
            let moments = running.unwrap_or_else(|| per_row(&input, one_row, reduce));
            r = inverse_std(spec, &moments);
            let slope = |n: usize, c: usize, s: usize| {
                2.0 * (input[[n, c, s]] - moments[[n, c]].mean) / moments[[n, c]].len as f64
            };
            let mean_share = if rms { 0.0 } else { 1.0 };
            let set = Set { key: &one_row, moments: &moments, mean_share, var_share: 1.0, slope: &slope };
            let sets = if evaluates { vec![] } else { vec![set] };
            (dx, magnitude, terms) = through(&input, &h, &moments, &r, &sets);
            // Running statistics are exact.
            spread = if evaluates { r.mapv(|_| 0.0) } else { deviation(&moments) };
            statistics = moments;
        }
    }

    let normalized =
        Array3::from_shape_fn(input.dim(), |(n, c, s)| (input[[n, c, s]] - statistics[[n, c]].mean) * r[[n, c]]);
    let spread = spread * &r;
    let around = Array3::from_shape_fn(input.dim(), |(n, c, s)| normalized[[n, c, s]].abs() + spread[[n, c]]);
    let trailing = matches!(spec, NormSpec::Layer(_) | NormSpec::Rms(_));
    let summed = |terms: &Array3<f64>| {
        let sums: Vec<f64> = if trailing {
            (0..spatial).map(|s| sum(&terms.index_axis(Axis(2), s).iter().copied().collect::<Vec<_>>())).collect()
        } else {
            (0..channels).map(|c| sum(&terms.index_axis(Axis(1), c).iter().copied().collect::<Vec<_>>())).collect()
        };
        Array1::from(sums).into_shape_with_order(spec.parameter_shape()).expect("one sum per parameter")
    };
    let count = input.len() / if trailing { spatial } else { channels };
    let parameter = |values: Array3<f64>, sizes: Array3<f64>, terms| of(summed(&values), summed(&sizes), terms);
    let size = dy.mapv(f64::abs);
    let shaped = |array: Array3<f64>| unview(spec, &array, x.shape());
    Ok(Gradients {
        input: of(shaped(dx), shaped(magnitude), terms),
        weight: spec.has_weight().then(|| parameter(&dy * &normalized, &size * &around, count.max(terms))),
        bias: spec.has_bias().then(|| parameter(dy.clone(), size.clone(), count)),
        mean_weight,
        var_weight,
    })
}

pub(super) fn of(value: ArrayD<f64>, magnitude: ArrayD<f64>, terms: usize) -> Gradient {
    Gradient { value, magnitude, terms }
}

/// The standard deviation of each instance's statistics.
fn deviation(statistics: &Array2<Moments>) -> Array2<f64> {
    statistics.mapv(|moments| moments.var.max(0.0).sqrt())
}

/// `h·r`, and through the mean and the variance of each set: with `L = Σ h·(x − mean)·r`,
/// `dL/dmean = −Σ h·r` and `dL/dvar = −½·Σ h·(x − mean)·r³`. Also the magnitudes, and the most terms of a sum.
fn through(
    x: &Array3<f64>,
    h: &Array3<f64>,
    statistics: &Array2<Moments>,
    r: &Array2<f64>,
    sets: &[Set],
) -> (Array3<f64>, Array3<f64>, usize) {
    let from = |value: &dyn Fn(usize, usize, usize) -> f64| Array3::from_shape_fn(x.dim(), |(n, c, s)| value(n, c, s));
    let own = from(&|n, c, s| h[[n, c, s]] * r[[n, c]]);
    let by_mean = from(&|n, c, s| -own[[n, c, s]]);
    let by_var = from(&|n, c, s| -0.5 * h[[n, c, s]] * (x[[n, c, s]] - statistics[[n, c]].mean) * r[[n, c]].powi(3));
    let normalized = from(&|n, c, s| ((x[[n, c, s]] - statistics[[n, c]].mean) * r[[n, c]]).abs());

    let mut dx = own.clone();
    let mut magnitude = Array3::<f64>::zeros(x.dim());
    let mut terms = 1;
    for set in sets {
        let (dmean, dvar) = (per_row(&by_mean, set.key, sum), per_row(&by_var, set.key, sum));
        let deviation = from(&|n, c, s| (x[[n, c, s]] - set.moments[[n, c]].mean) * r[[n, c]]);
        let (most, furthest) = (per_row(&own, set.key, largest), per_row(&deviation, set.key, largest));
        let typical = per_row(&normalized, set.key, |values| average(values).max(1.0));
        for ((n, c, s), dx) in dx.indexed_iter_mut() {
            let at = [n, c];
            let len = set.moments[at].len;
            *dx += set.mean_share * dmean[at] / len as f64 + set.var_share * dvar[at] * (set.slope)(n, c, s);
            magnitude[[n, c, s]] +=
                most[at] * (set.mean_share.abs() + set.var_share.abs() * furthest[at] * typical[at]);
            terms = terms.max(len);
        }
    }
    magnitude.zip_mut_with(&own, |magnitude, own| *magnitude = magnitude.max(own.abs()));
    (dx, magnitude, terms)
}

/// The derivative of a switchable norm's `k`-th variance by an element.
fn slope<'a>(
    norm: &SwitchableNorm,
    mixture: &'a Mixture,
    k: usize,
    x: &'a Array3<f64>,
) -> impl Fn(usize, usize, usize) -> f64 + 'a {
    let (samples, channels, spatial) = x.dim();
    let reference = norm.variance == Variance::Reference;
    let flat = norm.is_flat(spatial);
    let instances = [1, channels, samples][k] as f64;
    let mean = move |k: usize, n: usize, c: usize| mixture.parts[k].moments[[n, c]].mean;
    move |n, c, s| {
        let x = x[[n, c, s]];
        let spatial = spatial as f64;
        if reference && !flat {
            // The instance's unbiased variance, and of the others the distance of its mean from theirs.
            let inner = 2.0 * (x - mean(0, n, c)) / (spatial - 1.0);
            inner / instances + 2.0 * (mean(0, n, c) - mean(k, n, c)) / (spatial * instances)
        } else {
            let len = spatial * instances - if reference { 1.0 } else { 0.0 };
            2.0 * (x - mean(k, n, c)) / len
        }
    }
}

/// The gradients of switchable norm's two vectors of weights.
fn shares(
    norm: &SwitchableNorm,
    mixture: &Mixture,
    x: &Array3<f64>,
    h: &Array3<f64>,
    statistics: &Array2<Moments>,
    r: &Array2<f64>,
) -> (Option<Gradient>, Option<Gradient>) {
    let on: Vec<_> = mixture.parts.iter().filter(|part| part.on).collect();
    let plain = norm.weighting == Weighting::Plain;
    let (samples, channels) = r.dim();
    // The sums of an instance's values and of their sizes.
    let summed = |value: &dyn Fn(usize, usize, usize) -> f64| {
        let over = |n, c| (0..x.len_of(Axis(2))).map(move |s| value(n, c, s));
        Array2::from_shape_fn((samples, channels), |(n, c)| {
            (sum(&over(n, c).collect::<Vec<_>>()), over(n, c).map(f64::abs).sum::<f64>())
        })
    };
    let gradient = |share: &dyn Fn(usize) -> f64,
                    statistic: &dyn Fn(usize, usize, usize) -> f64,
                    slopes: &Array2<(f64, f64)>,
                    drift: &Array2<f64>,
                    scale: &dyn Fn(usize, usize, usize) -> f64| {
        // d softmax_j / d logit_k = w_k·(1[j = k] − w_j), so that only differences of statistics count.
        let factor = |k: usize| if plain { 1.0 } else { share(k) };
        let relative = |k: usize, n: usize, c: usize, size: fn(f64) -> f64| -> f64 {
            if plain {
                return size(statistic(k, n, c));
            }
            (0..on.len()).map(|j| share(j) * size(statistic(k, n, c) - statistic(j, n, c))).sum()
        };
        let total = |term: &dyn Fn(usize, usize, (f64, f64)) -> f64| {
            sum(&slopes.indexed_iter().map(|((n, c), &slope)| term(n, c, slope)).collect::<Vec<_>>())
        };
        let value = |k: usize| total(&|n, c, (slope, _)| slope * relative(k, n, c, |d| d));
        let size = |k: usize| {
            total(&|n, c, (slope, sizes)| {
                let mixed: f64 = (0..on.len()).map(|j| share(j).abs() * scale(j, n, c)).sum();
                (sizes + drift[[n, c]]) * relative(k, n, c, f64::abs) + slope.abs() * (scale(k, n, c) + mixed)
            })
        };
        let values = (0..on.len()).map(|k| factor(k) * value(k));
        let sizes = (0..on.len()).map(|k| factor(k) * size(k));
        let array = |values: Vec<f64>| Array1::from(values).into_dyn();
        Some(of(array(values.collect()), array(sizes.collect()), x.len()))
    };
    let by_mean = summed(&|n, c, s| -h[[n, c, s]] * r[[n, c]]);
    let by_var = summed(&|n, c, s| -0.5 * h[[n, c, s]] * (x[[n, c, s]] - statistics[[n, c]].mean) * r[[n, c]].powi(3));
    let mean = |k: usize, n: usize, c: usize| on[k].moments[[n, c]].mean;
    let var = |k: usize, n: usize, c: usize| on[k].moments[[n, c]].var;
    let sigma = |k: usize, n: usize, c: usize| var(k, n, c).max(0.0).sqrt();
    // What an error of the mixed mean does to the sum of h·x̂.
    let drift = Zip::indexed(r)
        .and(&mixture.spread(statistics))
        .map_collect(|(n, c), r, spread| 0.5 * by_mean[[n, c]].0.abs() * r * r * spread);
    (
        gradient(&|k| on[k].mean_share, &mean, &by_mean, &r.mapv(|_| 0.0), &sigma),
        gradient(&|k| on[k].var_share, &var, &by_var, &drift, &var),
    )
}
