//! Every way a call can fail. A failed call changes nothing: no parameter, no statistic, no counter.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::dtype::DType;

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What another library said, behind an [`Error`]: its [`source`](StdError::source), which can be downcast (to
/// `std::io::Error`, `wgpu::Error`). Errors' messages have its words in them. Equal where its words are.
#[derive(Clone)]
pub struct Cause(Arc<dyn StdError + Send + Sync>);

impl Cause {
    pub(crate) fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Cause {
        Cause(error.into().into())
    }
}

impl Deref for Cause {
    type Target = dyn StdError + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Cause) -> bool {
        self.to_string() == other.to_string()
    }
}

/// Why a call failed. The fields of a variant are the values that its message names.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum Error {
    // What a layer is.
    /// A layer without channels or groups.
    #[error("{norm}: {what} must be at least 1, got 0")]
    ZeroSize { norm: &'static str, what: &'static str },
    /// `normalized_shape` has no dimension.
    #[error("{norm}: normalized_shape must have at least one dimension, got []")]
    EmptyNormalizedShape { norm: &'static str },
    /// Over channels that come first, what is normalized is one dimension.
    #[error(
        "{norm}: channels_first normalizes over one dimension, the channels, got normalized_shape {normalized_shape:?}"
    )]
    ChannelsFirst { norm: &'static str, normalized_shape: Vec<usize> },
    /// The channels do not fall into equal groups.
    #[error("group norm: {groups} groups do not divide {channels} channels")]
    Indivisible { groups: usize, channels: usize },
    /// NaN or infinite eps.
    #[error("{norm}: eps must be a finite number, got {eps}")]
    EpsNotFinite { norm: &'static str, eps: f32 },
    /// An eps that torch refuses: `<= 0` where batch norm uses the batch's statistics, `< 0` elsewhere in batch norm.
    #[error("{norm}: eps must be {bound} with {statistics} statistics, got {eps}")]
    EpsSign { norm: &'static str, bound: &'static str, statistics: &'static str, eps: f32 },
    /// Switchable norm with neither instance nor batch statistics has nothing to switch between.
    #[error(
        "switchable norm: instance and batch statistics are both off, which leaves only layer norm; keep one of them or use LayerNorm"
    )]
    NothingToSwitch,

    // What goes in and out.
    /// The input has too few dimensions.
    #[error("{norm}: expected an input of at least {least} dimensions {layout}, got shape {shape:?}")]
    Rank { norm: &'static str, least: usize, layout: &'static str, shape: Vec<usize> },
    /// The input has another number of channels than the layer.
    #[error("{norm}: expected {expected} channels in dimension {axis}, got {found} in shape {shape:?}")]
    Channels { norm: &'static str, expected: usize, found: usize, axis: usize, shape: Vec<usize> },
    /// The input does not end in the layer's normalized shape.
    #[error("{norm}: expected an input of shape [*, {}], got {shape:?}", comma(.expected))]
    NormalizedShape { norm: &'static str, expected: Vec<usize>, shape: Vec<usize> },
    /// The statistics would be those of a single value.
    #[error("{norm}: expected more than 1 value per {per} to take statistics of, got shape {shape:?}")]
    OneValue { norm: &'static str, per: &'static str, shape: Vec<usize> },
    /// A dimension is zero where the norm has no meaning for it.
    #[error("{norm}: {what} must be greater than 0, got shape {shape:?}")]
    EmptyInput { norm: &'static str, what: &'static str, shape: Vec<usize> },
    /// A tensor's shape is not the one that the call needs.
    #[error("{what}: expected shape {expected:?}, got {found:?}")]
    Shape { what: &'static str, expected: Vec<usize>, found: Vec<usize> },
    /// A tensor's elements cannot be seen in this shape: it has more of them, or fewer.
    #[error("a tensor of shape {from:?} cannot be viewed as {to:?}")]
    View { from: Vec<usize>, to: Vec<usize> },
    /// Entries of a dimension that a tensor does not have.
    #[error("{len} entries from {start} on of dimension {dim} are not in a tensor of shape {shape:?}")]
    Narrow { dim: usize, start: usize, len: usize, shape: Vec<usize> },
    /// Strides that a view cannot have, or that what it is given to cannot walk.
    #[error("{what} of shape {shape:?} and strides {strides:?}: {reason}")]
    Strides { what: &'static str, shape: Vec<usize>, strides: Vec<usize>, reason: &'static str },
    /// A tensor's element type is not the one that the call needs.
    #[error("{what}: expected {expected} elements, got {found}")]
    ElementType { what: &'static str, expected: DType, found: DType },
    /// A tensor that the call writes is in the buffer of another of its tensors: wgpu cannot bind one buffer for
    /// writing and for anything else, whatever the offsets. An output in the exact place of its input is none such: that is in place.
    #[error(
        "the {what}, which is written, shares a buffer with the {with}, which wgpu cannot bind beside it; give one of \
         them another buffer"
    )]
    Aliasing { what: &'static str, with: &'static str },
    /// A forward that saves what its backward needs, its input, would overwrite it.
    #[error(
        "the output is the input, which the backward of a saved forward needs: give the output a buffer of its own"
    )]
    SavedInPlace,
    /// A parameter or its gradient that the layer does not have.
    #[error("this layer has no {name}")]
    NoParameter { name: &'static str },
    /// A gradient that was not wanted is asked for.
    #[error("the gradients lack a tensor for {name}")]
    NoGradient { name: &'static str },
    /// A saved forward is given to another layer than the one that made it.
    #[error("the saved forward is of another layer")]
    OtherLayer,
    /// A tensor or buffer is of another device than the layer or the `Gpu` that it is given to.
    #[error("{what} belongs to another wgpu device")]
    OtherDevice { what: &'static str },
    /// A wrapped buffer ends before the tensor does.
    #[error("a tensor of shape {shape:?} needs {needed} bytes from offset {offset}, the buffer has {size}")]
    BufferTooSmall { shape: Vec<usize>, needed: u64, offset: u64, size: u64 },
    /// A wrapped buffer lacks a usage.
    #[error("the buffer needs usage {needed}, it has {found}")]
    BufferUsage { needed: String, found: String },
    /// A wrapped buffer's offset cannot be bound.
    #[error("the offset {offset} is not a multiple of this device's storage offset alignment, {alignment}")]
    BufferAlignment { offset: u64, alignment: u64 },
    /// The device cannot hold, bind or address this.
    #[error("{what} needs {needed} {unit}, this device allows {limit}")]
    TooLarge { what: &'static str, needed: u64, unit: &'static str, limit: u64 },
    /// What a call was to take along beside the norm cannot go with this layer, shape or element type.
    #[error("what stands beside the norm: {reason}")]
    Neighbour { reason: &'static str },
    /// A strategy that was asked for cannot run here.
    #[error("the forced strategy cannot run: {reason}")]
    Strategy { reason: String },

    // A group of processes.
    /// Statistics that are of several processes' batches have to be exchanged, which no encoder can record.
    #[error(
        "{what} that is only recorded cannot exchange statistics among {processes} processes: call what submits \
         (forward_tensor, forward_saved, backward, or begin_forward and its like)"
    )]
    Synchronized { what: &'static str, processes: usize },
    /// The processes of a group do not make the same call. Every one of them gets this, and nothing has changed on any.
    #[error("the processes do not agree on the {what}, by rank: {}", .found.join(", "))]
    RanksDiffer { what: &'static str, found: Vec<String> },
    /// The same call has failed on another process, before anything was exchanged.
    #[error("rank {rank} has failed: {reason}")]
    OtherRank { rank: usize, reason: String },
    /// The processes could not reach one another.
    #[error("the group of processes: {source}")]
    #[non_exhaustive]
    Group { source: Cause },

    // The device.
    /// There is no adapter that can run compute shaders.
    #[error("no usable GPU adapter: {reason}")]
    #[non_exhaustive]
    NoAdapter { reason: String },
    /// The adapter refused to open a device.
    #[error("the adapter refused a device: {source}")]
    #[non_exhaustive]
    RequestDevice { source: Cause },
    /// The device is gone: reset, unplugged or destroyed. `during` is what noticed it.
    #[error("the device was lost: {reason} (while {during})")]
    #[non_exhaustive]
    DeviceLost { during: &'static str, reason: String },
    /// There is no more memory: on the device or, for the oracle, in the machine. `bytes` says how many one buffer was to have,
    /// where it was for one.
    #[error("out of memory{} (while {during})", wanted(.bytes))]
    #[non_exhaustive]
    OutOfMemory { during: &'static str, bytes: Option<u64> },
    /// The app has destroyed a tensor's buffer, or has it mapped.
    #[error("a buffer cannot be used: {reason} (while {during})")]
    #[non_exhaustive]
    BufferUnusable { during: &'static str, reason: String },
    /// wgpu refused a call that this crate had checked: a defect of this crate or of the driver.
    #[error("wgpu, while {during}: {source}")]
    #[non_exhaustive]
    Wgpu { during: &'static str, source: Cause },

    // State dicts.
    /// A key of the layer is not in the state dict.
    #[error("missing key in state dict: \"{key}\"")]
    MissingKey { key: String },
    /// The state dict has keys under the prefix that the layer does not.
    #[error("unexpected keys in state dict: {}", quoted(.keys))]
    UnexpectedKeys { keys: Vec<String> },
    /// A value has another shape than the layer's.
    #[error("size mismatch for \"{key}\": expected shape {expected:?}, got {found:?}")]
    KeyShape { key: String, expected: Vec<usize>, found: Vec<usize> },
    /// A value's elements have no meaning in f32.
    #[error("\"{key}\": expected elements of type f32, f16, bf16, f64 or i64, got {found}")]
    KeyType { key: String, found: String },
    /// `num_batches_tracked` is not a whole number from 0 to 2³² − 1.
    #[error("\"{key}\" must be a whole number from 0 to 4294967295, got {value}")]
    Counter { key: String, value: f64 },
    /// Bytes that are not safetensors, of the file `path` if they are of one. Of the feature `safetensors`, as the next.
    #[error("safetensors: {}{source}", named(.path))]
    #[non_exhaustive]
    Safetensors { path: Option<String>, source: Cause },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    #[non_exhaustive]
    File { path: String, source: Cause },
}

impl Error {
    /// [`Error::Group`], of what a [`Collective`](crate::Collective) has met.
    pub fn group(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error::Group { source: Cause::new(source) }
    }
}

fn comma(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    sizes.join(", ")
}

fn wanted(bytes: &Option<u64>) -> String {
    bytes.map_or(String::new(), |bytes| format!(" for {bytes} bytes"))
}

fn named(path: &Option<String>) -> String {
    path.as_ref().map_or(String::new(), |path| format!("{path}: "))
}

fn quoted(keys: &[String]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
    keys.join(", ")
}
