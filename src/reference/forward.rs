//! The oracle's forward pass, and how far one in f32 may be from it.

use ndarray::{Array3, ArrayD};

use super::instances::{inverse_std, parameter, per_row, row, running, unview, view};
use super::moments::{Moments, largest};
use super::state::State;
use super::switchable::Mixture;
use crate::dtype::DType;
use crate::error::Result;
use crate::spec::geometry::Geometry;
use crate::spec::{Mode, Momentum, NormSpec};

/// What [`forward`](super::forward) computes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
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
    /// Roundings that follow the layer: 3 of a modulation, 1 of what is added after, 4 of an activation.
    pub roundings: u32,
}

impl Forward {
    /// [`tolerance`] of each element, with its `roundings` beside the 4 that every output has.
    pub fn tolerance(&self, dtype: DType) -> ArrayD<f64> {
        let row_len = self.row_len.max(1) << self.roundings;
        self.magnitude.mapv(|magnitude| tolerance(magnitude, row_len, dtype))
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

/// A layer without its activation: moves `state` as torch does. Where `var + eps` is 0, `r` is 0.
pub(super) fn layer(spec: &NormSpec, mode: Mode, state: &mut State, x: &ArrayD<f64>) -> Result<Forward> {
    spec.validate()?;
    Geometry::new(spec, mode, x.shape())?;
    state.check(spec)?;
    // The share of this batch in the running statistics, where they move.
    let f = match spec.momentum().filter(|_| mode == Mode::Training) {
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
        return Ok(Forward {
            output: x.clone(),
            magnitude: x.clone(),
            inverse_std: x.clone(),
            row_len: 1,
            roundings: 0,
        });
    }

    let input = view(spec, x);
    let (samples, channels, _) = input.dim();
    let row = |n, c| row(spec, n, c);
    let mut reach = None;
    let statistics = match (spec, running(state, mode, samples, channels)) {
        (NormSpec::Switchable(norm), running) => {
            let mixture = Mixture::new(norm, state, running, &input);
            state.update_running(f, &mixture.batch().moments, |moments| moments.var);
            let mixed = mixture.mixed();
            reach = Some(mixture.reach(&input, &mixed, &inverse_std(spec, &mixed)));
            mixed
        }
        (_, Some(running)) => running,
        (NormSpec::Rms(_), None) => per_row(&input, row, Moments::around_zero),
        (_, None) => {
            let statistics = per_row(&input, row, Moments::of);
            state.update_running(f, &statistics, Moments::unbiased);
            statistics
        }
    };

    let (weight, bias) = (parameter(spec, &state.weight, 1.0), parameter(spec, &state.bias, 0.0));
    let inverse = inverse_std(spec, &statistics);
    let from =
        |value: &dyn Fn(usize, usize, usize) -> f64| Array3::from_shape_fn(input.dim(), |(n, c, s)| value(n, c, s));
    let normalized = from(&|n, c, s| (input[[n, c, s]] - statistics[[n, c]].mean) * inverse[[n, c]]);
    let reach = reach.unwrap_or_else(|| per_row(&normalized, row, largest));
    let shaped = |array: Array3<f64>| unview(spec, &array, x.shape());
    Ok(Forward {
        output: shaped(from(&|n, c, s| weight(c, s) * normalized[[n, c, s]] + bias(c, s))),
        magnitude: shaped(from(&|n, c, s| weight(c, s).abs() * reach[[n, c]] + bias(c, s).abs())),
        inverse_std: shaped(from(&|n, c, _| inverse[[n, c]])),
        row_len: statistics.iter().map(|moments| moments.len).max().unwrap_or(1),
        roundings: 0,
    })
}
