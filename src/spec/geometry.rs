//! What a layer means for one input shape: which elements share statistics, and which parameter belongs to which
//! element. The only place that knows axes.

use super::{BatchNorm, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm, SwitchableNorm, Variance};
use crate::error::{Error, Result};

/// An input seen as `[samples, channels, spatial]` and its rows: the sets of elements that share one statistic.
/// Layer and RMS norm see `[outer, 1, normalized]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Geometry {
    /// N; of layer and RMS norm, the outer positions.
    pub samples: usize,
    /// C; of layer and RMS norm, 1.
    pub channels: usize,
    /// The product of the spatial sizes; of layer and RMS norm, of the normalized shape.
    pub spatial: usize,
    /// How many statistics there are; of switchable norm, the instance ones.
    pub rows: usize,
    /// Elements behind one statistic.
    pub row_len: usize,
    /// Contiguous pieces of a row: the samples for batch norm, else 1.
    pub runs: usize,
    /// Where the statistics come from; of switchable norm, the batch ones.
    pub source: Source,
    /// Whether the call moves running statistics.
    pub updates: bool,
    /// Which parameter belongs to an element.
    pub parameter: ParameterIndex,
}

/// Where statistics come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// From the input.
    Input,
    /// From the running statistics.
    Running,
}

/// The parameter of element `i` of row `r` is `(r mod period)·step + i / inner`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterIndex {
    /// Rows after which the parameters begin again.
    pub period: usize,
    /// Parameters from one row to the next.
    pub step: usize,
    /// Neighbouring elements that share a parameter.
    pub inner: usize,
}

impl Geometry {
    /// Checks `shape` against the layer.
    ///
    /// # Errors
    /// Those of [`NormSpec::validate`]; [`Error::Rank`], [`Error::Channels`], [`Error::NormalizedShape`], [`Error::OneValue`], [`Error::EpsSign`],
    /// [`Error::EmptyInput`], [`Error::TooLarge`].
    pub fn new(spec: &NormSpec, mode: Mode, shape: &[usize]) -> Result<Geometry> {
        spec.validate()?;
        check_size(shape)?;
        match spec {
            NormSpec::Batch(norm) => batch(norm, mode, shape),
            NormSpec::Layer(LayerNorm { normalized_shape, .. }) => trailing(spec.name(), normalized_shape, shape),
            NormSpec::Rms(RmsNorm { normalized_shape, .. }) => trailing(spec.name(), normalized_shape, shape),
            NormSpec::Instance(norm) => instance(norm, mode, shape),
            NormSpec::Group(norm) => group(norm, shape),
            NormSpec::Switchable(norm) => switchable(norm, mode, shape),
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.samples * self.channels * self.spatial
    }

    /// Whether there is nothing to normalize.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Sizes whose bytes would not fit an address.
fn check_size(shape: &[usize]) -> Result<()> {
    let limit = isize::MAX as usize / 8;
    let elements = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size.max(1)));
    match elements {
        Some(elements) if elements <= limit => Ok(()),
        _ => Err(Error::TooLarge { what: "the input", needed: u64::MAX, unit: "elements", limit: limit as u64 }),
    }
}

/// `[samples, channels, spatial]` of `shape`, its channels checked.
fn split(
    norm: &'static str,
    least: usize,
    layout: &'static str,
    channels: usize,
    batched: bool,
    shape: &[usize],
) -> Result<(usize, usize, usize)> {
    let axis = usize::from(batched);
    if shape.len() < least {
        return Err(Error::Rank { norm, least, layout, shape: shape.to_vec() });
    }
    if shape[axis] != channels {
        return Err(Error::Channels { norm, expected: channels, found: shape[axis], axis, shape: shape.to_vec() });
    }
    let samples = if batched { shape[0] } else { 1 };
    Ok((samples, channels, shape[axis + 1..].iter().product()))
}

fn batch(norm: &BatchNorm, mode: Mode, shape: &[usize]) -> Result<Geometry> {
    let name = "batch norm";
    let (samples, channels, spatial) = split(name, 2, "[N, C, *]", norm.channels, true, shape)?;
    let source = if mode == Mode::Evaluation && norm.running.track { Source::Running } else { Source::Input };
    if source == Source::Input && samples * spatial == 1 {
        return Err(Error::OneValue { norm: name, per: "channel", shape: shape.to_vec() });
    }
    let eps = norm.eps;
    if source == Source::Input && eps <= 0.0 {
        return Err(Error::EpsSign { norm: name, bound: "positive", statistics: "the batch's", eps });
    }
    if eps < 0.0 {
        return Err(Error::EpsSign { norm: name, bound: "non-negative", statistics: "running", eps });
    }
    Ok(Geometry {
        samples,
        channels,
        spatial,
        rows: channels,
        row_len: samples * spatial,
        runs: samples,
        source,
        updates: mode == Mode::Training && norm.running.track,
        parameter: ParameterIndex { period: channels, step: 1, inner: (samples * spatial).max(1) },
    })
}

fn trailing(norm: &'static str, normalized: &[usize], shape: &[usize]) -> Result<Geometry> {
    let Some(outer) = shape.strip_suffix(normalized) else {
        return Err(Error::NormalizedShape { norm, expected: normalized.to_vec(), shape: shape.to_vec() });
    };
    let (rows, row_len) = (outer.iter().product(), normalized.iter().product());
    Ok(Geometry {
        samples: rows,
        channels: 1,
        spatial: row_len,
        rows,
        row_len,
        runs: 1,
        source: Source::Input,
        updates: false,
        parameter: ParameterIndex { period: 1, step: 0, inner: 1 },
    })
}

fn instance(norm: &InstanceNorm, mode: Mode, shape: &[usize]) -> Result<Geometry> {
    let name = "instance norm";
    let batched = !norm.unbatched && shape.len() != 2;
    let (least, layout) = if norm.unbatched { (2, "[C, *]") } else { (2, "[N, C, *] or [C, L]") };
    let (samples, channels, spatial) = split(name, least, layout, norm.channels, batched, shape)?;
    let source = if mode == Mode::Evaluation && norm.running.track { Source::Running } else { Source::Input };
    if source == Source::Input && spatial == 1 {
        return Err(Error::OneValue { norm: name, per: "instance", shape: shape.to_vec() });
    }
    Ok(instances((samples, channels, spatial), source, mode == Mode::Training && norm.running.track))
}

/// One row per sample and channel.
fn instances((samples, channels, spatial): (usize, usize, usize), source: Source, updates: bool) -> Geometry {
    Geometry {
        samples,
        channels,
        spatial,
        rows: samples * channels,
        row_len: spatial,
        runs: 1,
        source,
        updates,
        parameter: ParameterIndex { period: channels, step: 1, inner: spatial.max(1) },
    }
}

fn group(norm: &GroupNorm, shape: &[usize]) -> Result<Geometry> {
    let name = "group norm";
    let (samples, channels, spatial) = split(name, 2, "[N, C, *]", norm.channels, true, shape)?;
    if spatial == 0 {
        return Err(Error::EmptyInput {
            norm: name,
            what: "the product of the spatial dimensions",
            shape: shape.to_vec(),
        });
    }
    let width = channels / norm.groups;
    if samples * width * spatial == 1 {
        return Err(Error::OneValue { norm: name, per: "group", shape: shape.to_vec() });
    }
    Ok(Geometry {
        samples,
        channels,
        spatial,
        rows: samples * norm.groups,
        row_len: width * spatial,
        runs: 1,
        source: Source::Input,
        updates: false,
        parameter: ParameterIndex { period: norm.groups, step: width, inner: spatial },
    })
}

fn switchable(norm: &SwitchableNorm, mode: Mode, shape: &[usize]) -> Result<Geometry> {
    let name = "switchable norm";
    let (samples, channels, spatial) = split(name, 2, "[N, C, *]", norm.channels, true, shape)?;
    let source = if mode == Mode::Evaluation && norm.batch { Source::Running } else { Source::Input };
    if norm.variance == Variance::Reference {
        // The estimators of the authors' code divide by these counts less one.
        let one = |per| Err(Error::OneValue { norm: name, per, shape: shape.to_vec() });
        if norm.is_flat(spatial) {
            if channels == 1 {
                return one("sample");
            }
            if source == Source::Input && samples == 1 {
                return one("channel");
            }
        } else if spatial == 1 {
            return one("instance");
        }
    }
    Ok(instances((samples, channels, spatial), source, mode == Mode::Training && norm.batch))
}

impl SwitchableNorm {
    /// The authors' rank-2 form: no instance statistics and one value per instance, so that layer and batch variances
    /// are taken over channels and samples themselves.
    pub(crate) fn is_flat(&self, spatial: usize) -> bool {
        !self.instance && spatial == 1
    }
}
