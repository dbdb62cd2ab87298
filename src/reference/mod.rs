//! The oracle: every norm in `f64`, element by element, too simple to be wrong. It shares no arithmetic with the
//! kernels or with their plan; the tests hold every kernel to it, and it can hold a port or another backend as well.
//!
//! Each norm is seen on `[N, C, S]` (layer and RMS norm: `[outer, 1, normalized]`), where it gives each instance
//! `(n, c)` a mean and a variance; what differs is whose mean and variance.

use std::collections::BTreeMap;

use ndarray::{Array2, Array3, ArrayD, Axis, CowArray, Ix3};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::spec::geometry::Geometry;
use crate::spec::{COUNTER, Mode, Momentum, NormSpec, Weighting};

mod backward;
mod switchable;

pub use backward::{Gradient, Gradients, backward};
use switchable::Mixture;

/// A layer's parameters and running statistics, under torch's names.
#[derive(Debug, Clone, PartialEq)]
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
        let bytes = shape.iter().try_fold(8u64, |bytes, &size| bytes.checked_mul(size as u64)).unwrap_or(u64::MAX);
        let elements = usize::try_from(bytes / 8).unwrap_or(usize::MAX);
        // An allocation that fails would abort: try one first.
        Vec::<f64>::new()
            .try_reserve_exact(elements)
            .map_err(|_| Error::OutOfMemory { during: "making the oracle's state", bytes: Some(bytes) })?;
        let parameter = |value| ArrayD::from_elem(shape.clone(), value);
        let share = match spec {
            NormSpec::Switchable(norm) => Some(match norm.weighting {
                Weighting::Softmax => ArrayD::ones(vec![norm.mixed()]),
                Weighting::Plain => ArrayD::from_elem(vec![norm.mixed()], 1.0 / norm.mixed() as f64),
            }),
            _ => None,
        };
        let tracked = spec.tracked().is_some();
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
    fn check(&self, spec: &NormSpec) -> Result<()> {
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
    fn move_towards(&mut self, f: Option<f64>, statistics: &Array2<Moments>, var: impl Fn(&Moments) -> f64) {
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

/// What [`forward`] computes.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    /// `weight·x̂ + bias`, `x̂ = (x − mean)·r`.
    pub output: ArrayD<f64>,
    /// Of each element, `|weight|·reach + |bias|`: the size of what was added up, which a rounding error is relative to.
    /// `reach` is `max |x̂|` over the elements of its row. Of switchable norm it is the larger of
    ///
    /// * `max |x̂|·max(1, r²·Σ_k |w'_k|·v_k)` over its instance, for what rounding takes from the variances `v_k`, and
    /// * `r·Σ_k |w_k|·max |x − μ_k|`, for what it takes from the means `μ_k`, each maximum over the elements that `μ_k` is the
    ///   mean of (of a running mean, over the channel): an instance of one element has no x̂ to speak of, its sample has;
    ///
    /// `w_k` and `w'_k` are the shares of the means and of the variances.
    pub magnitude: ArrayD<f64>,
    /// Of each element, `r = 1 / sqrt(var + eps)`.
    pub inverse_std: ArrayD<f64>,
    /// The most elements that any output's statistics were taken over; 1 where the running ones were used.
    pub row_len: usize,
}

impl Forward {
    /// [`tolerance`] of each element.
    pub fn tolerance(&self, dtype: DType) -> ArrayD<f64> {
        self.magnitude.mapv(|magnitude| tolerance(magnitude, self.row_len, dtype))
    }
}

/// How far an output computed in f32 from exact inputs may be from the oracle's, if its mean is held as a pair
/// (a shift and the mean of what remains), so that a large mean costs nothing:
///
/// `4·u·magnitude·(4 + log2 row_len)`, with `u = 2⁻²⁴`, half an ulp of 1 in f32.
///
/// A sum over a tree of `n` terms is off by at most `log2 n` roundings, each `u` of the size of what is summed
/// (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., §4.2), and so are the mean and the variance; the
/// difference, the two products and the final sum add a rounding each, 4. The factor 4 covers the tree's leaves, which
/// are short sequential sums, and WGSL's `inverseSqrt` and division, 2 and 2.5 ulp (WGSL §15.7.4).
///
/// F16 and BF16 outputs are rounded once more: one ulp of the output type at `magnitude`, which is never below its
/// smallest subnormal.
pub fn tolerance(magnitude: f64, row_len: usize, dtype: DType) -> f64 {
    let depth = (row_len.max(1) as f64).log2();
    let sums = 4.0 * 2f64.powi(-24) * magnitude * (4.0 + depth);
    let ulp = |digits: f64, least: f64| (magnitude.log2().floor().max(least) - digits).exp2();
    match dtype {
        DType::F32 => sums,
        DType::F16 => sums + ulp(10.0, -14.0),
        DType::BF16 => sums + ulp(7.0, -126.0),
    }
}

/// The mean and biased variance of a set of elements, in two passes.
#[derive(Debug, Clone, Copy)]
struct Moments {
    len: usize,
    mean: f64,
    var: f64,
}

impl Moments {
    fn of(values: &[f64]) -> Moments {
        let len = values.len();
        let mean = average(values);
        let squares: Vec<f64> = values.iter().map(|x| (x - mean).powi(2)).collect();
        Moments { len, mean, var: average(&squares) }
    }

    /// Around 0 instead of the mean, as RMS norm needs them.
    fn around_zero(values: &[f64]) -> Moments {
        let squares: Vec<f64> = values.iter().map(|x| x * x).collect();
        Moments { len: values.len(), mean: 0.0, var: average(&squares) }
    }

    fn unbiased(&self) -> f64 {
        self.var * self.len as f64 / (self.len as f64 - 1.0)
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most: f64, value| most.max(value.abs()))
}

fn average(values: &[f64]) -> f64 {
    sum(values) / values.len() as f64
}

/// By halves, so that a million elements cost 20 roundings and not a million.
fn sum(values: &[f64]) -> f64 {
    if values.len() <= 8 {
        return values.iter().sum();
    }
    let (left, right) = values.split_at(values.len() / 2);
    sum(left) + sum(right)
}

/// Calls `reduce` with all elements of each row, and gives its result to each instance of that row.
fn per_row<T: Clone>(
    x: &Array3<f64>,
    row: impl Fn(usize, usize) -> (usize, usize),
    reduce: impl Fn(&[f64]) -> T,
) -> Array2<T> {
    let mut rows: BTreeMap<(usize, usize), Vec<f64>> = BTreeMap::new();
    for ((n, c, _), &value) in x.indexed_iter() {
        rows.entry(row(n, c)).or_default().push(value);
    }
    let rows: BTreeMap<_, T> = rows.into_iter().map(|(key, values)| (key, reduce(&values))).collect();
    Array2::from_shape_fn((x.len_of(Axis(0)), x.len_of(Axis(1))), |(n, c)| rows[&row(n, c)].clone())
}

/// `x` as `[N, C, S]`.
fn view<'a>(spec: &NormSpec, x: &'a ArrayD<f64>) -> CowArray<'a, f64, Ix3> {
    let shape = x.shape();
    let product = |sizes: &[usize]| sizes.iter().product::<usize>();
    let split = match spec {
        NormSpec::Layer(_) | NormSpec::Rms(_) => {
            let (outer, normalized) = shape.split_at(shape.len() - spec.parameter_shape().len());
            (product(outer), 1, product(normalized))
        }
        NormSpec::Instance(norm) if norm.unbatched || shape.len() == 2 => (1, shape[0], product(&shape[1..])),
        _ => (shape[0], shape[1], product(&shape[2..])),
    };
    x.to_shape(split).expect("`Geometry::new` has checked the shape, and the product is the same")
}

/// Whose statistics an instance has: those of the set of all instances with the same result.
fn row(spec: &NormSpec, n: usize, c: usize) -> (usize, usize) {
    match spec {
        NormSpec::Batch(_) => (0, c),
        NormSpec::Group(norm) => (n, c / (norm.channels / norm.groups)),
        _ => (n, c),
    }
}

/// The running statistics of each instance, where evaluation uses them.
fn running(state: &State, mode: Mode, samples: usize, channels: usize) -> Option<Array2<Moments>> {
    let (Mode::Evaluation, Some(mean), Some(var)) = (mode, &state.running_mean, &state.running_var) else {
        return None;
    };
    let of = |c: usize| Moments { len: 1, mean: mean[[c]], var: var[[c]] };
    Some(Array2::from_shape_fn((samples, channels), |(_, c)| of(c)))
}

/// The parameter of an element, by its channel and place.
fn parameter(spec: &NormSpec, values: &Option<ArrayD<f64>>, absent: f64) -> impl Fn(usize, usize) -> f64 + use<> {
    let trailing = matches!(spec, NormSpec::Layer(_) | NormSpec::Rms(_));
    let values: Option<Vec<f64>> = values.as_ref().map(|values| values.iter().copied().collect());
    move |c: usize, s: usize| values.as_ref().map_or(absent, |values| values[if trailing { s } else { c }])
}

/// `r = 1 / sqrt(var + eps)`, and 0 where that is 1 / 0.
fn inverse_std(spec: &NormSpec, statistics: &Array2<Moments>) -> Array2<f64> {
    let eps = f64::from(spec.eps());
    statistics.mapv(|moments| if moments.var + eps == 0.0 { 0.0 } else { 1.0 / (moments.var + eps).sqrt() })
}

/// One forward pass: moves `state` as torch does and returns the output. Where `var + eps` is 0, `r` is 0.
///
/// # Errors
/// Those of [`NormSpec::validate`] and those that a layer on the GPU gives for this shape; [`Error::MissingKey`],
/// [`Error::UnexpectedKeys`] and [`Error::KeyShape`] for a `state` that is not one of this `spec`. `state` is then
/// unchanged.
pub fn forward(spec: &NormSpec, mode: Mode, state: &mut State, x: &ArrayD<f64>) -> Result<Forward> {
    spec.validate()?;
    Geometry::new(spec, mode, x.shape())?;
    state.check(spec)?;
    // The share of this batch in the running statistics, where they move.
    let f = match spec.tracked().filter(|_| mode == Mode::Training) {
        None => None,
        Some(momentum) => {
            if !matches!(spec, NormSpec::Instance(_)) {
                state.num_batches_tracked = state.num_batches_tracked.map(|count| count + 1);
            }
            Some(match (momentum, spec) {
                (Momentum::Fixed(momentum), _) => f64::from(momentum),
                (Momentum::Cumulative, NormSpec::Instance(_)) => 0.0,
                (Momentum::Cumulative, _) => 1.0 / state.num_batches_tracked.unwrap_or(1) as f64,
            })
        }
    };
    if x.is_empty() {
        return Ok(Forward { output: x.clone(), magnitude: x.clone(), inverse_std: x.clone(), row_len: 1 });
    }

    let input = view(spec, x).into_owned();
    let (samples, channels, _) = input.dim();
    let row = |n, c| row(spec, n, c);
    let mut reach = None;
    let statistics = match (spec, running(state, mode, samples, channels)) {
        (NormSpec::Switchable(norm), running) => {
            let mixture = Mixture::new(norm, state, running, &input);
            state.move_towards(f, &mixture.batch().moments, |moments| moments.var);
            let mixed = mixture.mixed();
            reach = Some(mixture.reach(&input, &mixed, &inverse_std(spec, &mixed)));
            mixed
        }
        (_, Some(running)) => running,
        (NormSpec::Rms(_), None) => per_row(&input, row, Moments::around_zero),
        (_, None) => {
            let statistics = per_row(&input, row, Moments::of);
            state.move_towards(f, &statistics, Moments::unbiased);
            statistics
        }
    };

    let (weight, bias) = (parameter(spec, &state.weight, 1.0), parameter(spec, &state.bias, 0.0));
    let inverse = inverse_std(spec, &statistics);
    let from =
        |value: &dyn Fn(usize, usize, usize) -> f64| Array3::from_shape_fn(input.dim(), |(n, c, s)| value(n, c, s));
    let normalized = from(&|n, c, s| (input[[n, c, s]] - statistics[[n, c]].mean) * inverse[[n, c]]);
    let reach = reach.unwrap_or_else(|| per_row(&normalized, row, largest));
    let shaped = |array: Array3<f64>| array.into_shape_with_order(x.shape()).expect("it has `x`'s number of elements");
    Ok(Forward {
        output: shaped(from(&|n, c, s| weight(c, s) * normalized[[n, c, s]] + bias(c, s))),
        magnitude: shaped(from(&|n, c, s| weight(c, s).abs() * reach[[n, c]] + bias(c, s).abs())),
        inverse_std: shaped(from(&|n, c, _| inverse[[n, c]])),
        row_len: statistics.iter().map(|moments| moments.len).max().unwrap_or(1),
    })
}

#[cfg(test)]
mod tests;
