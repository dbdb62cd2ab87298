//! The CPU that the GPU is measured against: the same norms in f32 with the same numerics, on all cores (rayon), in
//! loops that the compiler vectorises.

mod arithmetic;
pub mod backward;
mod columns;
mod samples;
mod tiny;
mod vectors;

use std::iter::{Sum, repeat_n};
use std::ops::AddAssign;

use gpunorm::unstable::Geometry;
use gpunorm::{Mode, NormSpec};
use rayon::prelude::*;

use arithmetic::{Moments, Statistics};

/// Elements that make a task worth its scheduling.
const TASK: usize = 1 << 15;
/// Planes whose sums make a task worth its scheduling.
const PLANES: usize = 1 << 12;
/// Channels whose planes a task adds up.
const CHANNELS: usize = 256;

/// A layer with the parameters of a new one. Switchable norm only trains.
pub struct Cpu {
    spec: NormSpec,
    mode: Mode,
    eps: f32,
    /// By channel; of layer and RMS norm by element of a row.
    weight: Vec<f32>,
    bias: Vec<f32>,
    running_mean: Vec<f32>,
    running_var: Vec<f32>,
}

impl Cpu {
    /// `parameters` is the number of weights.
    pub fn new(spec: &NormSpec, mode: Mode, parameters: usize) -> Cpu {
        Cpu {
            spec: spec.clone(),
            mode,
            eps: spec.eps(),
            weight: vec![1.0; parameters],
            bias: vec![0.0; parameters],
            running_mean: vec![0.0; parameters],
            running_var: vec![1.0; parameters],
        }
    }

    /// `y` of `x`, both row-major and of the shape that `geometry` was made of.
    pub fn forward(&mut self, geometry: &Geometry, x: &[f32], y: &mut [f32]) {
        let (eps, spatial, row_len) = (self.eps, geometry.spatial, geometry.row_len);
        let centered = self.centered();
        match self.spec {
            NormSpec::Layer(_) | NormSpec::Rms(_) | NormSpec::Group(_) | NormSpec::Instance(_)
                if row_len <= tiny::LONGEST =>
            {
                let [weight, bias] = [&self.weight, &self.bias].map(|of| self.of_elements(of, spatial));
                tiny::forward(x, y, row_len, [&weight, &bias], &tiny::Own { centered, eps });
            }
            NormSpec::Layer(_) | NormSpec::Rms(_) => {
                rows(x, y, row_len, TASK.min(row_len), (centered, eps), |x, y, s, _, at| {
                    let range = at..at + x.len();
                    s.apply_each(x, y, &self.weight[range.clone()], centered.then(|| &self.bias[range]));
                });
            }
            NormSpec::Group(_) | NormSpec::Instance(_) => {
                let per_row = row_len / spatial;
                let groups = geometry.channels / per_row;
                rows(x, y, row_len, spatial, (true, eps), |x, y, s, row, at| {
                    let channel = row % groups * per_row + at / spatial;
                    s.apply(x, y, self.weight[channel], self.bias[channel]);
                });
            }
            NormSpec::Batch(_) if spatial == 1 => {
                let statistics = self.channel_statistics(geometry, || columns::moments(x, geometry.channels));
                columns::apply(x, y, &statistics, &self.weight, &self.bias);
            }
            NormSpec::Batch(_) => {
                let channels = geometry.channels;
                let statistics = self.channel_statistics(geometry, || by_channel(&plane_moments(x, spatial), channels));
                self.apply_planes(x, y, geometry, |plane| statistics[plane % channels]);
            }
            NormSpec::Switchable(_) => self.switchable(geometry, x, y),
            _ => unimplemented!("{}", self.spec.name()),
        }
    }

    fn centered(&self) -> bool {
        !matches!(self.spec, NormSpec::Rms(_))
    }

    /// Parameters of each element of a sample, or of a row of layer and RMS norm.
    fn of_elements(&self, parameters: &[f32], spatial: usize) -> Vec<f32> {
        let times = if matches!(self.spec, NormSpec::Layer(_) | NormSpec::Rms(_)) { 1 } else { spatial };
        parameters.iter().flat_map(|&value| repeat_n(value, times)).collect()
    }

    /// Batch norm's, of the input or the running ones, which move.
    fn channel_statistics(&mut self, geometry: &Geometry, moments: impl FnOnce() -> Vec<Moments>) -> Vec<Statistics> {
        if self.mode == Mode::Evaluation {
            return self.running_statistics();
        }
        let moments = moments();
        let unbias = geometry.row_len as f32 / (geometry.row_len - 1).max(1) as f32;
        self.track(&moments, unbias);
        moments.iter().map(|m| m.statistics(self.eps)).collect()
    }

    fn running_statistics(&self) -> Vec<Statistics> {
        let running = self.running_mean.iter().zip(&self.running_var);
        running.map(|(&mean, &var)| Statistics::new(mean, 0.0, var, self.eps)).collect()
    }

    fn track(&mut self, moments: &[Moments], unbias: f32) {
        const MOMENTUM: f32 = 0.1;
        for ((m, mean), var) in moments.iter().zip(&mut self.running_mean).zip(&mut self.running_var) {
            *mean += MOMENTUM * (m.shift + m.mean - *mean);
            *var += MOMENTUM * (m.variance() * unbias - *var);
        }
    }

    fn apply_planes(&self, x: &[f32], y: &mut [f32], geometry: &Geometry, of: impl Fn(usize) -> Statistics + Sync) {
        let (spatial, channels) = (geometry.spatial, geometry.channels);
        let planes = y.par_chunks_mut(spatial).zip(x.par_chunks(spatial)).enumerate();
        planes.with_min_len(TASK.div_ceil(spatial)).for_each(|(plane, (y, x))| {
            let channel = plane % channels;
            of(plane).apply(x, y, self.weight[channel], self.bias[channel]);
        });
    }

    fn switchable(&mut self, geometry: &Geometry, x: &[f32], y: &mut [f32]) {
        if geometry.channels * geometry.spatial <= tiny::LONGEST {
            return self.forward_samples(geometry.spatial, x, y);
        }
        let parts = Parts::of(geometry, x);
        self.track(&parts.batch, 1.0);
        self.apply_planes(x, y, geometry, |plane| self.mixed(&parts.of_plane(plane)));
    }

    /// Mixed equally, as those of a new layer are.
    fn mixed(&self, parts: &[Moments; 3]) -> Statistics {
        // Relative to the first shift, so that a large mean costs no digits.
        let shift = parts[0].shift;
        let mean = parts.iter().map(|m| (m.shift - shift) + m.mean).sum::<f32>() / 3.0;
        Statistics::new(shift, mean, parts.iter().map(Moments::variance).sum::<f32>() / 3.0, self.eps)
    }
}

/// What switchable norm mixes, from one reading.
#[derive(Default)]
struct Parts {
    /// Of each plane.
    instance: Vec<Moments>,
    /// Of each sample.
    layer: Vec<Moments>,
    /// Of each channel.
    batch: Vec<Moments>,
}

impl Parts {
    fn of(geometry: &Geometry, x: &[f32]) -> Parts {
        let channels = geometry.channels;
        let instance = plane_moments(x, geometry.spatial);
        Parts { layer: by_sample(&instance, channels), batch: by_channel(&instance, channels), instance }
    }

    fn of_plane(&self, plane: usize) -> [Moments; 3] {
        let channels = self.batch.len();
        [self.instance[plane], self.layer[plane / channels], self.batch[plane % channels]]
    }
}

/// What each sample's planes sum up to.
fn by_sample<T: Copy + Send + Sum + Sync>(planes: &[T], channels: usize) -> Vec<T> {
    let samples = planes.par_chunks(channels).with_min_len(PLANES.div_ceil(channels));
    samples.map(|sample| sample.iter().copied().sum()).collect()
}

/// What each channel's planes sum up to.
fn by_channel<T: AddAssign + Copy + Default + Send + Sync>(planes: &[T], channels: usize) -> Vec<T> {
    let mut all = vec![T::default(); channels];
    all.par_chunks_mut(CHANNELS).enumerate().for_each(|(at, all)| {
        for sample in planes.chunks(channels) {
            all.iter_mut().zip(&sample[at * CHANNELS..]).for_each(|(all, &plane)| *all += plane);
        }
    });
    all
}

/// The moments of each piece of `spatial` neighbours.
fn plane_moments(x: &[f32], spatial: usize) -> Vec<Moments> {
    x.par_chunks(spatial).with_min_len(TASK.div_ceil(spatial)).map(|plane| Moments::of(plane, true)).collect()
}

/// Statistics of each row, then `write(x, y, statistics, row, place in it)` for its pieces of `piece` elements.
fn rows(
    x: &[f32],
    y: &mut [f32],
    row_len: usize,
    piece: usize,
    (centered, eps): (bool, f32),
    write: impl Fn(&[f32], &mut [f32], Statistics, usize, usize) + Sync,
) {
    let few = x.len() / row_len < 4 * rayon::current_num_threads();
    if few && row_len > 2 * TASK {
        for (row, (y, x)) in y.chunks_mut(row_len).zip(x.chunks(row_len)).enumerate() {
            let parts: Vec<Moments> = x.par_chunks(TASK).map(|part| Moments::of(part, centered)).collect();
            let statistics = parts.into_iter().sum::<Moments>().statistics(eps);
            let pieces = y.par_chunks_mut(piece).zip(x.par_chunks(piece)).enumerate();
            pieces.with_min_len(TASK.div_ceil(piece)).for_each(|(at, (y, x))| write(x, y, statistics, row, at * piece));
        }
        return;
    }
    let all = y.par_chunks_mut(row_len).zip(x.par_chunks(row_len)).enumerate();
    all.with_min_len(TASK.div_ceil(row_len)).for_each(|(row, (y, x))| {
        let statistics = Moments::of(x, centered).statistics(eps);
        for (at, (y, x)) in y.chunks_mut(piece).zip(x.chunks(piece)).enumerate() {
            write(x, y, statistics, row, at * piece);
        }
    });
}
