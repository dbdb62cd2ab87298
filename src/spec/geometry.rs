//! What a layer means for one input shape: which elements share statistics, and which parameter belongs to which
//! element. The only place that knows axes.

use super::sizes::{MOST_ELEMENTS, elements};
use super::{BatchNorm, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm, SwitchableNorm, Variance};
use crate::error::{Error, Result};

/// An input seen as `[samples, channels, spatial]` and its rows: the sets of elements that share one statistic.
/// Layer and RMS norm see `[outer, 1, normalized]`. What is neither is in memory as if its axes were exchanged
/// ([`interleaved`](Self::interleaved)).
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
    /// So many planes, of a channel in a sample each, lie in lines: element 0 of each of them, element 1 of each, and so on. 1
    /// where a plane's elements are neighbours, the channels where these come last; of layer and RMS norm over channels that
    /// come first, whose planes are their rows, the places of a sample.
    pub interleaved: usize,
    /// Where the statistics come from; of switchable norm, the batch ones.
    pub source: Source,
    /// Whether the call moves running statistics.
    pub updates: bool,
    /// Which parameter belongs to an element.
    pub parameter: ParameterIndex,
    /// The batch that this input is a share of, where the statistics of channels are of all shares.
    pub shared: Option<SharedBatch>,
}

/// A batch that several processes have their shares of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SharedBatch {
    /// How many processes.
    pub ranks: usize,
    /// Values of a channel, in all shares.
    pub values: usize,
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
        let geometry = Geometry::of_any_batch(spec, mode, shape)?;
        match geometry.source {
            Source::Input => geometry.with_values(spec, shape, geometry.samples * geometry.spatial),
            Source::Running => Ok(geometry),
        }
    }

    /// The same in training, for a share of a batch of so many processes, of which it is not known yet how many values it has.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_share(spec: &NormSpec, shape: &[usize], ranks: usize) -> Result<Geometry> {
        let geometry = Geometry::of_any_batch(spec, Mode::Training, shape)?;
        let values = geometry.samples * geometry.spatial;
        Ok(Geometry { shared: Some(SharedBatch { ranks, values }), ..geometry })
    }

    /// The same where a channel has so many values, in all shares of its batch.
    ///
    /// # Errors
    /// [`Error::OneValue`].
    pub fn with_values(self, spec: &NormSpec, shape: &[usize], values: usize) -> Result<Geometry> {
        let one = match spec {
            NormSpec::Batch(_) => true,
            // The estimator of the authors' code divides by this count less one.
            NormSpec::Switchable(norm) => norm.variance == Variance::Reference && norm.is_flat(self.spatial),
            _ => false,
        };
        if one && values == 1 {
            return Err(Error::OneValue { norm: spec.name(), per: "channel", shape: shape.to_vec() });
        }
        Ok(Geometry { shared: self.shared.map(|shared| SharedBatch { values, ..shared }), ..self })
    }

    fn of_any_batch(spec: &NormSpec, mode: Mode, shape: &[usize]) -> Result<Geometry> {
        spec.validate()?;
        check_size(shape)?;
        match spec {
            NormSpec::Batch(norm) => batch(norm, mode, shape),
            NormSpec::Layer(LayerNorm { normalized_shape, .. }) | NormSpec::Rms(RmsNorm { normalized_shape, .. }) => {
                let geometry = if spec.channels_first() { over_channels } else { trailing };
                geometry(spec.name(), normalized_shape, shape)
            }
            NormSpec::Instance(norm) => instance(norm, mode, shape),
            NormSpec::Group(norm) => group(norm, shape),
            NormSpec::Switchable(norm) => switchable(norm, mode, shape),
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.samples * self.channels * self.spatial
    }

    /// The same where places of so many samples, whose channels come last, are seen as samples of their own.
    pub(crate) fn of_samples(self, samples: usize) -> Geometry {
        if self.spatial > 1 || self.runs == 1 || samples == 0 || samples >= self.samples {
            return self;
        }
        let (spatial, interleaved) = (self.samples / samples, self.channels);
        Geometry { samples, spatial, interleaved, runs: samples, ..self }
    }

    /// Whether there is nothing to normalize.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Sizes whose bytes would not fit an address.
fn check_size(shape: &[usize]) -> Result<()> {
    let limit = MOST_ELEMENTS as u64;
    let too_large = |needed| Error::TooLarge { what: "the input", needed, unit: "elements", limit };
    elements(shape).map(drop).map_err(too_large)
}

/// How a norm of channels has its inputs.
#[derive(Clone, Copy)]
struct Axes {
    norm: &'static str,
    channels: usize,
    channels_last: bool,
    batched: bool,
}

impl Axes {
    /// `[samples, channels, spatial]` of `shape`, its channels checked; and how many planes interleave.
    fn split(self, shape: &[usize], layouts: [&'static str; 2]) -> Result<([usize; 3], usize)> {
        let Axes { norm, channels, channels_last, batched } = self;
        if shape.len() < 2 {
            let layout = layouts[usize::from(channels_last)];
            return Err(Error::Rank { norm, least: 2, layout, shape: shape.to_vec() });
        }
        let first = usize::from(batched);
        let axis = if channels_last { shape.len() - 1 } else { first };
        if shape[axis] != channels {
            return Err(Error::Channels { norm, expected: channels, found: shape[axis], axis, shape: shape.to_vec() });
        }
        let samples = if batched { shape[0] } else { 1 };
        let spatial = shape[first..axis].iter().chain(&shape[axis + 1..]).product();
        Ok(([samples, channels, spatial], interleaved(channels, spatial, channels_last)))
    }
}

/// Of so many neighbouring planes in lines; where there is one line, or one plane in it, a plane's elements are neighbours all
/// the same.
fn interleaved(planes: usize, lines: usize, in_lines: bool) -> usize {
    if in_lines && lines > 1 { planes.max(1) } else { 1 }
}

const LAYOUTS: [&str; 2] = ["[N, C, *]", "[N, *, C]"];

fn batch(norm: &BatchNorm, mode: Mode, shape: &[usize]) -> Result<Geometry> {
    let name = "batch norm";
    let axes = Axes { norm: name, channels: norm.channels, channels_last: norm.channels_last, batched: true };
    let ([mut samples, channels, mut spatial], interleaved) = axes.split(shape, LAYOUTS)?;
    if interleaved > 1 {
        // A channel's values are of all samples: these are as good as samples of one position each.
        (samples, spatial) = (samples * spatial, 1);
    }
    let source = if mode == Mode::Evaluation && norm.running.track { Source::Running } else { Source::Input };
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
        interleaved: 1,
        source,
        updates: mode == Mode::Training && norm.running.track,
        parameter: ParameterIndex { period: channels, step: 1, inner: (samples * spatial).max(1) },
        shared: None,
    })
}

fn trailing(norm: &'static str, normalized: &[usize], shape: &[usize]) -> Result<Geometry> {
    let Some(outer) = shape.strip_suffix(normalized) else {
        return Err(Error::NormalizedShape { norm, expected: normalized.to_vec(), shape: shape.to_vec() });
    };
    let (rows, row_len) = (outer.iter().product(), normalized.iter().product());
    Ok(whole_rows(rows, row_len, 1))
}

/// Layer and RMS norm of each place over its channels.
fn over_channels(norm: &'static str, normalized: &[usize], shape: &[usize]) -> Result<Geometry> {
    // There is one dimension, which `NormSpec::validate` has seen to.
    let axes = Axes { norm, channels: normalized[0], channels_last: false, batched: true };
    let ([samples, channels, spatial], _) = axes.split(shape, LAYOUTS)?;
    Ok(whole_rows(samples * spatial, channels, interleaved(spatial, channels, true)))
}

fn whole_rows(rows: usize, row_len: usize, interleaved: usize) -> Geometry {
    Geometry {
        samples: rows,
        channels: 1,
        spatial: row_len,
        rows,
        row_len,
        runs: 1,
        interleaved,
        source: Source::Input,
        updates: false,
        parameter: ParameterIndex { period: 1, step: 0, inner: 1 },
        shared: None,
    }
}

fn instance(norm: &InstanceNorm, mode: Mode, shape: &[usize]) -> Result<Geometry> {
    let name = "instance norm";
    let batched = !norm.unbatched && shape.len() != 2;
    let layouts = match norm.unbatched {
        true => ["[C, *]", "[*, C]"],
        false => ["[N, C, *] or [C, L]", "[N, *, C] or [L, C]"],
    };
    let axes = Axes { norm: name, channels: norm.channels, channels_last: norm.channels_last, batched };
    let (sizes, interleaved) = axes.split(shape, layouts)?;
    let [.., spatial] = sizes;
    let source = if mode == Mode::Evaluation && norm.running.track { Source::Running } else { Source::Input };
    if source == Source::Input && spatial == 1 {
        return Err(Error::OneValue { norm: name, per: "instance", shape: shape.to_vec() });
    }
    Ok(instances(sizes, interleaved, source, mode == Mode::Training && norm.running.track))
}

/// One row per sample and channel.
fn instances([samples, channels, spatial]: [usize; 3], interleaved: usize, source: Source, updates: bool) -> Geometry {
    Geometry {
        samples,
        channels,
        spatial,
        rows: samples * channels,
        row_len: spatial,
        runs: 1,
        interleaved,
        source,
        updates,
        parameter: ParameterIndex { period: channels, step: 1, inner: spatial.max(1) },
        shared: None,
    }
}

fn group(norm: &GroupNorm, shape: &[usize]) -> Result<Geometry> {
    let name = "group norm";
    let axes = Axes { norm: name, channels: norm.channels, channels_last: norm.channels_last, batched: true };
    let ([samples, channels, spatial], interleaved) = axes.split(shape, LAYOUTS)?;
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
        interleaved,
        source: Source::Input,
        updates: false,
        parameter: ParameterIndex { period: norm.groups, step: width, inner: spatial },
        shared: None,
    })
}

fn switchable(norm: &SwitchableNorm, mode: Mode, shape: &[usize]) -> Result<Geometry> {
    let name = "switchable norm";
    let axes = Axes { norm: name, channels: norm.channels, channels_last: norm.channels_last, batched: true };
    let (sizes, interleaved) = axes.split(shape, LAYOUTS)?;
    let [_, channels, spatial] = sizes;
    let source = if mode == Mode::Evaluation && norm.batch { Source::Running } else { Source::Input };
    if norm.variance == Variance::Reference {
        // The estimators of the authors' code divide by these counts less one.
        let one = |per| Err(Error::OneValue { norm: name, per, shape: shape.to_vec() });
        if norm.is_flat(spatial) {
            if channels == 1 {
                return one("sample");
            }
        } else if spatial == 1 {
            return one("instance");
        }
    }
    Ok(instances(sizes, interleaved, source, mode == Mode::Training && norm.batch))
}

impl SwitchableNorm {
    /// The authors' rank-2 form: no instance statistics and one value per instance, so that layer and batch variances
    /// are taken over channels and samples themselves.
    pub(crate) fn is_flat(&self, spatial: usize) -> bool {
        !self.instance && spatial == 1
    }
}
