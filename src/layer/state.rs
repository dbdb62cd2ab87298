//! A layer's parameters and running statistics on the GPU.

use ndarray::{ArrayD, IxDyn};
use wgpu::BufferUsages;

use super::state_dict::{StateDict, module};
use crate::device::{Gpu, Part, Purpose, Tensor};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::Binding;
use crate::spec::sizes::bytes;
use crate::spec::{COUNTER, NormSpec, Weighting};

/// One named array of a layer.
#[derive(Debug)]
struct Entry {
    name: &'static str,
    binding: Binding,
    /// What a new layer has in it; of the counter, 0, whose bits are f32's.
    initial: f32,
    /// Of the counter, the bits of u32.
    tensor: Tensor,
}

/// All arrays of a layer, in torch's order.
#[derive(Debug)]
pub(crate) struct State {
    entries: Vec<Entry>,
    /// Whether shapes may have extra dimensions of 1, as in the authors' checkpoints of switchable norm.
    lenient: bool,
}

impl Entry {
    fn is_counter(&self) -> bool {
        self.binding == Binding::NumBatchesTracked
    }

    fn len(&self) -> usize {
        self.tensor.len()
    }

    /// What reading it back copies; of the counts, which are all equal, one.
    fn part(&self) -> Part<'_> {
        let count = if self.is_counter() { 1 } else { self.len() };
        Part { buffer: &self.tensor.memory().buffer, offset: self.tensor.offset(), bytes: 4 * count as u64 }
    }

    /// Of the counter, which has one count per channel.
    fn counts(&self, count: u32) -> Vec<u8> {
        bytemuck::cast_slice(&vec![count; self.len()]).to_vec()
    }

    fn initial(&self) -> Vec<u8> {
        bytemuck::cast_slice(&vec![self.initial; self.len()]).to_vec()
    }
}

impl State {
    /// torch's initial values.
    pub fn new(gpu: &Gpu, spec: &NormSpec) -> Result<State> {
        gpu.checked().check_alive("making a layer")?;
        let shape = spec.parameter_shape();
        let mut wanted = vec![];
        if spec.has_weight() {
            wanted.push(("weight", Binding::Weight, shape.clone(), 1.0));
        }
        if spec.has_bias() {
            wanted.push(("bias", Binding::Bias, shape.clone(), 0.0));
        }
        if let NormSpec::Switchable(norm) = spec {
            let mixed = norm.mixed();
            let initial = match norm.weighting {
                Weighting::Softmax => 1.0,
                Weighting::Plain => 1.0 / mixed as f32,
            };
            wanted.push(("mean_weight", Binding::MeanWeight, vec![mixed], initial));
            wanted.push(("var_weight", Binding::VarWeight, vec![mixed], initial));
        }
        if spec.momentum().is_some() {
            wanted.push(("running_mean", Binding::RunningMean, shape.clone(), 0.0));
            wanted.push(("running_var", Binding::RunningVar, shape.clone(), 1.0));
            // One count per channel, all equal: see shaders/part/track_running/update.wgsl.
            wanted.push((COUNTER, Binding::NumBatchesTracked, shape, 0.0));
        }
        let entries = wanted
            .into_iter()
            .map(|(name, binding, shape, initial)| {
                let limit = gpu.caps().max_binding.min(gpu.caps().max_buffer);
                match bytes(&shape, 4) {
                    Ok(bytes) if bytes <= limit => {}
                    Ok(needed) | Err(needed) => {
                        return Err(Error::TooLarge { what: "a parameter", needed, unit: "bytes", limit });
                    }
                }
                let tensor = Tensor::from_array(gpu, &ArrayD::from_elem(shape, initial))?;
                // Whoever asks for it may record work with it at any time.
                tensor.forbid_reuse();
                Ok(Entry { name, binding, initial, tensor })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(State { entries, lenient: matches!(spec, NormSpec::Switchable(_)) })
    }

    /// Copies of all arrays, as they are after the work that was submitted before.
    pub fn try_clone(&self, gpu: &Gpu, spec: &NormSpec) -> Result<State> {
        let clone = State::new(gpu, spec)?;
        for (from, to) in self.entries.iter().zip(&clone.entries) {
            to.tensor.copy_from(&from.tensor)?;
        }
        Ok(clone)
    }

    /// The live array.
    pub fn tensor(&self, binding: Binding) -> Option<&Tensor> {
        self.entries.iter().find(|entry| entry.binding == binding).map(|entry| &entry.tensor)
    }

    /// All arrays.
    pub fn tensors(&self) -> impl Iterator<Item = (Binding, &Tensor)> {
        self.entries.iter().map(|entry| (entry.binding, &entry.tensor))
    }

    /// The gradients of the arrays that have any, and their bytes.
    pub fn gradients(&self) -> Vec<(Binding, u64)> {
        self.tensors().filter_map(|(binding, tensor)| Some((binding.gradient()?, tensor.byte_len()))).collect()
    }

    /// Puts `tensor` in place of an array.
    pub fn replace(&mut self, gpu: &Gpu, name: &'static str, tensor: &Tensor) -> Result<()> {
        let entry = self.entries.iter_mut().find(|entry| entry.name == name);
        let entry = entry.ok_or(Error::NoParameter { name })?;
        tensor.check(gpu, name, entry.tensor.shape(), DType::F32)?;
        tensor.check_usage(BufferUsages::COPY_DST)?;
        tensor.forbid_reuse();
        entry.tensor = tensor.clone();
        Ok(())
    }

    /// Back to the initial values, of the running statistics and, if `all`, of the parameters.
    pub fn reset(&self, gpu: &Gpu, all: bool) -> Result<()> {
        let running = [Binding::RunningMean, Binding::RunningVar, Binding::NumBatchesTracked];
        let entries = self.entries.iter().filter(|entry| all || running.contains(&entry.binding));
        let initial: Vec<_> = entries.map(|entry| (entry, entry.initial())).collect();
        write(gpu, &initial, "resetting a layer")
    }

    /// Takes every array from `state`, or none.
    pub fn load(&self, gpu: &Gpu, state: &StateDict, prefix: &str) -> Result<()> {
        let prefix = module(prefix);
        let mut writes: Vec<(&Entry, Vec<u8>)> = vec![];
        for entry in &self.entries {
            let key = format!("{prefix}{}", entry.name);
            let Some(value) = state.value(&key) else {
                if entry.is_counter() {
                    continue;
                }
                return Err(Error::MissingKey { key });
            };
            let Some(value) = value.array() else {
                return Err(Error::KeyType { key, found: value.type_name() });
            };
            let expected: &[usize] = if entry.is_counter() { &[] } else { entry.tensor.shape() };
            if !self.same_shape(expected, value.shape()) {
                return Err(Error::KeyShape { key, expected: expected.to_vec(), found: value.shape().to_vec() });
            }
            let bytes = if entry.is_counter() {
                entry.counts(whole(key, value)?)
            } else {
                bytemuck::cast_slice(&value.iter().copied().collect::<Vec<f32>>()).to_vec()
            };
            writes.push((entry, bytes));
        }
        let known = |key: &str| self.entries.iter().any(|entry| entry.name == key);
        let unexpected = |key: &str| key.strip_prefix(&*prefix).is_some_and(|name| !known(name));
        let keys: Vec<String> =
            state.iter().map(|(key, _)| key).filter(|key| unexpected(key)).map(str::to_owned).collect();
        if !keys.is_empty() {
            return Err(Error::UnexpectedKeys { keys });
        }
        write(gpu, &writes, "loading a state dict")
    }

    fn counter(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.is_counter())
    }

    pub async fn read_counter(&self, gpu: &Gpu) -> Result<Option<u32>> {
        let Some(entry) = self.counter() else { return Ok(None) };
        let during = "reading the number of batches";
        let encoder = gpu.checked().encoder(during)?;
        let count = |parts: &[&[u8]]| bytemuck::pod_read_unaligned(parts[0]);
        gpu.buffers().read(encoder, &[entry.part()], during, count).await.map(Some)
    }

    pub fn set_counter(&self, gpu: &Gpu, count: u32) -> Result<()> {
        let entry = self.counter().ok_or(Error::NoParameter { name: COUNTER })?;
        write(gpu, &[(entry, entry.counts(count))], "setting the number of batches")
    }

    fn same_shape(&self, expected: &[usize], found: &[usize]) -> bool {
        let squeezed = |shape: &[usize]| -> Vec<usize> { shape.iter().copied().filter(|&size| size != 1).collect() };
        expected == found || self.lenient && squeezed(expected) == squeezed(found)
    }

    /// Copies every array back, all as they are between two forwards.
    pub async fn read(&self, gpu: &Gpu, prefix: &str) -> Result<StateDict> {
        if self.entries.is_empty() {
            return Ok(StateDict::new());
        }
        let prefix = module(prefix);
        let parts: Vec<Part> = self.entries.iter().map(Entry::part).collect();
        let during = "reading a state dict";
        let encoder = gpu.checked().encoder(during)?;
        let copies = gpu
            .buffers()
            .read(encoder, &parts, during, |parts| parts.iter().map(|part| part.to_vec()).collect::<Vec<_>>());
        let mut state = StateDict::new();
        for (entry, bytes) in self.entries.iter().zip(copies.await?) {
            let key = format!("{prefix}{}", entry.name);
            let (shape, values): (&[usize], Vec<f32>) = if entry.is_counter() {
                let counts: Vec<u32> = bytemuck::pod_collect_to_vec(&bytes);
                (&[], counts.iter().map(|&count| count as f32).collect())
            } else {
                (entry.tensor.shape(), bytemuck::pod_collect_to_vec(&bytes))
            };
            let found = vec![values.len()];
            let array = ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|_| Error::KeyShape {
                key: key.clone(),
                expected: shape.to_vec(),
                found,
            })?;
            state.insert(key, array);
        }
        Ok(state)
    }
}

/// Puts these bytes into these arrays, into all or into none: by copies of one submission.
fn write(gpu: &Gpu, writes: &[(&Entry, Vec<u8>)], during: &'static str) -> Result<()> {
    gpu.checked().check_alive(during)?;
    let mut encoder = gpu.checked().encoder(during)?;
    for (entry, bytes) in writes {
        let (tensor, size) = (&entry.tensor, bytes.len() as u64);
        let staging = gpu.buffers().buffer(Purpose::STAGING, size, Some(bytes))?;
        encoder.copy_buffer_to_buffer(&staging, 0, &tensor.memory().buffer, tensor.offset(), size);
    }
    gpu.checked().submit(encoder, during)
}

/// The count that is saved as `value`.
fn whole(key: String, value: &ArrayD<f32>) -> Result<u32> {
    let value = value.iter().next().copied().map_or(0.0, f64::from);
    if value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value) {
        Ok(value as u32)
    } else {
        Err(Error::Counter { key, value })
    }
}
