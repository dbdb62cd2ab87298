//! An input as `[N, C, S]`, and what each instance or element of it has.

use std::collections::BTreeMap;

use ndarray::{Array2, Array3, ArrayD, Axis};

use super::moments::Moments;
use super::state::State;
use crate::spec::{Mode, NormSpec};

/// Calls `reduce` with all elements of each row, and gives its result to each instance of that row.
pub(super) fn per_row<T: Clone>(
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
pub(super) fn view(spec: &NormSpec, x: &ArrayD<f64>) -> Array3<f64> {
    let memory = in_memory(spec, x.shape());
    let array = x.to_shape(memory).expect("`Geometry::new` has checked the shape, and the product is the same");
    let (n, first, last) = memory;
    if spec.channels_last() {
        array.permuted_axes([0, 2, 1]).to_owned()
    } else if spec.channels_first() {
        // A place is as good as a sample.
        let places = array.permuted_axes([0, 2, 1]);
        places.to_shape((n * last, 1, first)).expect("the product is the same").into_owned()
    } else {
        array.into_owned()
    }
}

/// What [`view`] shows, in `shape` again.
pub(super) fn unview(spec: &NormSpec, array: &Array3<f64>, shape: &[usize]) -> ArrayD<f64> {
    let (n, first, last) = in_memory(spec, shape);
    let exchanged = spec.channels_last() || spec.channels_first();
    let sizes = if exchanged { (n, last, first) } else { (n, first, last) };
    let array = array.to_shape(sizes).expect("it has `shape`'s number of elements");
    let array = if exchanged { array.permuted_axes([0, 2, 1]) } else { array };
    array.as_standard_layout().to_shape(shape).expect("it has `shape`'s number of elements").into_owned()
}

/// The sizes of three axes that an input of this shape is in memory: `[N, C, S]`, or `[N, S, C]` of channels last, or
/// `[outer, 1, normalized]`.
fn in_memory(spec: &NormSpec, shape: &[usize]) -> (usize, usize, usize) {
    let product = |sizes: &[usize]| sizes.iter().product::<usize>();
    let rest = match spec {
        NormSpec::Layer(_) | NormSpec::Rms(_) if !spec.channels_first() => {
            let (outer, normalized) = shape.split_at(shape.len() - spec.parameter_shape().len());
            return (product(outer), 1, product(normalized));
        }
        NormSpec::Instance(norm) if norm.unbatched || shape.len() == 2 => shape,
        _ => &shape[1..],
    };
    let samples = if rest.len() < shape.len() { shape[0] } else { 1 };
    match spec.channels_last() {
        true => (samples, product(&rest[..rest.len() - 1]), rest[rest.len() - 1]),
        false => (samples, rest[0], product(&rest[1..])),
    }
}

/// Whose statistics an instance has: those of the set of all instances with the same result.
pub(super) fn row(spec: &NormSpec, n: usize, c: usize) -> (usize, usize) {
    match spec {
        NormSpec::Batch(_) => (0, c),
        NormSpec::Group(norm) => (n, c / (norm.channels / norm.groups)),
        _ => (n, c),
    }
}

/// The running statistics of each instance, where evaluation uses them.
pub(super) fn running(state: &State, mode: Mode, samples: usize, channels: usize) -> Option<Array2<Moments>> {
    let (Mode::Evaluation, Some(mean), Some(var)) = (mode, &state.running_mean, &state.running_var) else {
        return None;
    };
    let of = |c: usize| Moments { len: 1, mean: mean[[c]], var: var[[c]] };
    Some(Array2::from_shape_fn((samples, channels), |(_, c)| of(c)))
}

/// The parameter of an element, by its channel and place.
pub(super) fn parameter(
    spec: &NormSpec,
    values: &Option<ArrayD<f64>>,
    absent: f64,
) -> impl Fn(usize, usize) -> f64 + use<> {
    let trailing = matches!(spec, NormSpec::Layer(_) | NormSpec::Rms(_));
    let values: Option<Vec<f64>> = values.as_ref().map(|values| values.iter().copied().collect());
    move |c: usize, s: usize| values.as_ref().map_or(absent, |values| values[if trailing { s } else { c }])
}

/// `r = 1 / sqrt(var + eps)`, and 0 where that is 1 / 0.
pub(super) fn inverse_std(spec: &NormSpec, statistics: &Array2<Moments>) -> Array2<f64> {
    let eps = f64::from(spec.eps());
    statistics.mapv(|moments| if moments.var + eps == 0.0 { 0.0 } else { 1.0 / (moments.var + eps).sqrt() })
}
