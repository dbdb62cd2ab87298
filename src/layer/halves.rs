//! A pass in two halves, between which processes tell one another what the first has found.

use std::sync::Arc;

use super::exchange::Told;
use super::norm::GpuNorm;
use super::pass::BoundPass;
use super::prepared::Half;
use crate::device::{Dispatch, Part, Reading, Tensor, record};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernel::Binding;
use crate::plan::{Exchange, Layout, Pass, Plan};
use crate::spec::geometry::Geometry;
use crate::spec::{Mode, NormSpec};

/// The values of all shares, of each channel.
fn values(told: &[Told]) -> usize {
    told.iter().map(|told| told.values as usize).sum()
}

/// The moments of channels that each process has found, one process after the other; none of an empty share.
fn gathered_moments(told: &[Told], bytes: usize) -> Result<Vec<f32>> {
    let mut moments = vec![];
    for told in told {
        match told.found.len() {
            0 => moments.resize(moments.len() + bytes / 4, 0.0),
            length if length == bytes => moments.extend(bytemuck::pod_collect_to_vec::<u8, f32>(&told.found)),
            length => return Err(Error::group(format!("{length} bytes of moments in place of {bytes}"))),
        }
    }
    Ok(moments)
}

/// The sums of dy and of dy·x̂ of each channel that each process has found, summed in the order of the ranks in f64.
fn summed(told: &[Told], channels: usize) -> Result<Vec<[f64; 2]>> {
    let mut sums = vec![[0.0; 2]; channels];
    for told in told.iter().filter(|told| !told.found.is_empty()) {
        let found: Vec<[f32; 2]> = bytemuck::pod_collect_to_vec(&told.found);
        if found.len() != channels {
            return Err(Error::group(format!("sums of {} channels in place of {channels}", found.len())));
        }
        for (sum, found) in sums.iter_mut().zip(found) {
            (0..2).for_each(|k| sum[k] += f64::from(found[k]));
        }
    }
    Ok(sums)
}

/// Of each channel's coefficients (shaders/part/common/coefficients.wgsl), of_xhat and constant, which are sums still.
pub(super) const COEFFICIENTS: (usize, [usize; 2]) = (5, [4, 3]);
/// Of each channel's axis gradients, both.
pub(super) const AXIS_GRADIENTS: (usize, [usize; 2]) = (4, [0, 1]);

/// The two sums in each of these entries.
pub(super) fn sums_of((size, places): (usize, [usize; 2]), read: &[u8]) -> Vec<u8> {
    let floats: Vec<f32> = bytemuck::pod_collect_to_vec(read);
    let sums: Vec<[f32; 2]> = floats.chunks_exact(size).map(|entry| places.map(|place| entry[place])).collect();
    bytemuck::cast_slice(&sums).to_vec()
}

/// A pass in two halves.
pub(super) struct Halves<'a> {
    pub(super) norm: &'a GpuNorm,
    pub(super) mode: Mode,
    pub(super) pass: Pass,
    pub(super) geometry: Geometry,
    pub(super) dtype: DType,
    pub(super) layout: Layout,
    pub(super) sliced: Vec<(Binding, Tensor)>,
    pub(super) kept: Vec<(Binding, Tensor)>,
    pub(super) exchange: Exchange,
    pub(super) during: &'static str,
}

pub(super) fn borrowed(tensors: &[(Binding, Tensor)]) -> Vec<(Binding, &Tensor)> {
    tensors.iter().map(|(binding, tensor)| (*binding, tensor)).collect()
}

pub(super) fn owned<'t>(tensors: impl IntoIterator<Item = (Binding, &'t Tensor)>) -> Vec<(Binding, Tensor)> {
    tensors.into_iter().map(|(binding, tensor)| (binding, tensor.clone())).collect()
}

impl Halves<'_> {
    /// Submits what comes before the exchange, after `first`; what is exchanged is on its way then, if there is any.
    pub(super) fn first(&mut self, first: Vec<Dispatch>, plan: Plan) -> Result<Option<Reading>> {
        let gpu = &self.norm.gpu;
        for binding in plan.kept_meanwhile() {
            let has = |tensors: &[(Binding, Tensor)]| tensors.iter().any(|(given, _)| *given == binding);
            if has(&self.sliced) || has(&self.kept) {
                continue;
            }
            match (binding, self.sliced.first()) {
                (Binding::Dy, Some((_, x))) => {
                    let dy = Tensor::uninitialized(gpu, x.shape(), x.dtype())?;
                    self.sliced.push((binding, dy));
                }
                _ => {
                    let floats = usize::try_from(plan.scratch.bytes(binding) / 4).unwrap_or(usize::MAX);
                    self.kept.push((binding, Tensor::uninitialized(gpu, &[floats], DType::F32)?));
                }
            }
        }
        let [plan, _] = plan.halves();
        let dispatches = self.prepare(Half::First, || Ok((first, plan)))?;
        let mut encoder = gpu.checked().encoder(self.during)?;
        record(&mut encoder, &dispatches);
        let bytes = &self.exchange.bytes;
        match self.exchanged() {
            Some(tensor) if !bytes.is_empty() => {
                let buffer = &tensor.memory().buffer;
                let part = Part { buffer, offset: tensor.offset() + bytes.start, bytes: bytes.end - bytes.start };
                gpu.buffers().begin_read(encoder, part, self.during).map(Some)
            }
            _ => gpu.checked().submit(encoder, self.during).map(|()| None),
        }
    }

    /// What holds what is exchanged.
    fn exchanged(&self) -> Option<&Tensor> {
        self.kept.iter().find(|(binding, _)| *binding == self.exchange.binding).map(|(_, tensor)| tensor)
    }

    /// Submits what comes after, of a batch of so many values.
    fn second(self) -> Result<()> {
        let plan = || {
            let plan = self.norm.plan_pass(&self.geometry, self.dtype, self.pass, self.layout)?;
            let [_, plan] = plan.halves();
            Ok((vec![], plan))
        };
        let values = self.geometry.shared.map_or(0, |shared| shared.values);
        let dispatches = self.prepare(Half::Second { values }, plan)?;
        let mut encoder = self.norm.gpu.checked().encoder(self.during)?;
        record(&mut encoder, &dispatches);
        self.norm.gpu.checked().submit(encoder, self.during)
    }

    fn prepare(&self, half: Half, plan: impl FnOnce() -> Result<(Vec<Dispatch>, Plan)>) -> Result<Arc<[Dispatch]>> {
        let (sliced, kept) = (borrowed(&self.sliced), borrowed(&self.kept));
        let bound = BoundPass { mode: self.mode, pass: self.pass, half, sliced: &sliced, kept: &kept };
        self.norm.prepare_pass(bound, plan)
    }

    /// The second half of a forward, with the moments that all have told.
    pub(super) fn finish_forward(mut self, told: &[Told], shape: &[usize]) -> Result<Geometry> {
        self.geometry = self.geometry.with_values(&self.norm.spec, shape, values(told))?;
        let moments = gathered_moments(told, 16 * self.geometry.channels)?;
        let ranks = Tensor::from_slice(&self.norm.gpu, &moments, &[moments.len()])?;
        self.kept.push((Binding::RankMoments, ranks));
        let geometry = self.geometry;
        self.second()?;
        Ok(geometry)
    }

    /// The second half of a backward, with the sums that all have told.
    pub(super) fn finish_backward(self, own: &[u8], told: &[Told]) -> Result<()> {
        let sums = summed(told, self.geometry.channels)?;
        let values = self.geometry.shared.map_or(0, |shared| shared.values) as f64;
        let (layout, factor) = match self.norm.spec {
            // backward_mix.wgsl divides a channel's by the samples and an instance's elements.
            NormSpec::Switchable(_) => {
                (AXIS_GRADIENTS, (self.geometry.samples * self.geometry.spatial) as f64 / values)
            }
            // They are negative already.
            _ => (COEFFICIENTS, 1.0 / values),
        };
        let (size, places) = layout;
        let mut entries: Vec<f32> = bytemuck::pod_collect_to_vec(own);
        for (entry, sums) in entries.chunks_exact_mut(size).zip(sums) {
            (0..2).for_each(|k| entry[places[k]] = (sums[k] * factor) as f32);
        }
        if let Some(tensor) = self.exchanged().filter(|_| !entries.is_empty()) {
            let (buffer, at) = (&tensor.memory().buffer, tensor.offset() + self.exchange.bytes.start);
            self.norm.gpu.buffers().write(buffer, at, bytemuck::cast_slice(&entries), self.during)?;
        }
        self.second()
    }
}
