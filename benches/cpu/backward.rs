//! The backward of each norm on the CPU, from the statistics of its forward.

use gpunorm::unstable::Geometry;
use gpunorm::{Mode, NormSpec};
use rayon::prelude::*;

use super::arithmetic::{Moments, Statistics, Sums, Through};
use super::{Cpu, TASK, by_channel, columns, plane_moments};

/// What a forward leaves for its backward.
pub struct Saved {
    /// Of each row of layer and RMS norm, else of each plane.
    pub statistics: Vec<Statistics>,
    /// Of each plane the instance's, the layer's and the batch's, which switchable norm mixes.
    parts: Vec<[Moments; 3]>,
}

/// Gradients by the parameters; empty where the layer has no such parameter.
#[derive(Default)]
pub struct Gradients {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    pub mean_weight: Vec<f32>,
    pub var_weight: Vec<f32>,
}

impl Gradients {
    fn of(channels: &[Sums]) -> Gradients {
        let (bias, weight) = channels.iter().map(|sums| (sums.dy, sums.dy_x)).unzip();
        Gradients { weight, bias, ..Gradients::default() }
    }
}

impl Cpu {
    /// The statistics of a forward of `x`.
    pub fn save(&self, geometry: &Geometry, x: &[f32]) -> Saved {
        let (spatial, samples) = (geometry.spatial, geometry.samples);
        let saved = |statistics| Saved { statistics, parts: vec![] };
        let of = |moments: &[Moments]| moments.iter().map(|m| m.statistics(self.eps)).collect::<Vec<_>>();
        match self.spec {
            NormSpec::Layer(_) | NormSpec::Rms(_) => {
                let centered = matches!(self.spec, NormSpec::Layer(_));
                saved(of(&x.chunks(geometry.row_len).map(|row| Moments::of(row, centered)).collect::<Vec<_>>()))
            }
            NormSpec::Group(_) | NormSpec::Instance(_) => {
                let planes = plane_moments(x, spatial);
                let rows = planes.chunks(geometry.row_len / spatial);
                saved(
                    rows.flat_map(|row| vec![row.iter().copied().sum::<Moments>().statistics(self.eps); row.len()])
                        .collect(),
                )
            }
            NormSpec::Batch(_) => {
                let batch = || of(&by_channel(&plane_moments(x, spatial), geometry.channels));
                let channels = if self.mode == Mode::Evaluation { self.running_statistics() } else { batch() };
                saved(channels.repeat(samples))
            }
            NormSpec::Switchable(_) => {
                let parts = self.parts(geometry, x);
                Saved { statistics: parts.iter().map(|three| self.mixed(three)).collect(), parts }
            }
            _ => unimplemented!("{}", self.spec.name()),
        }
    }

    /// `dx` and the other gradients from `dy`.
    pub fn backward(&self, geometry: &Geometry, saved: &Saved, inputs: [&[f32]; 2], dx: &mut [f32]) -> Gradients {
        let (spatial, channels) = (geometry.spatial, geometry.channels);
        let together = match self.spec {
            NormSpec::Layer(_) | NormSpec::Rms(_) => return self.backward_rows(geometry.row_len, saved, inputs, dx),
            NormSpec::Batch(_) if spatial == 1 => {
                let statistics = &saved.statistics[..channels];
                let sums = columns::sums(inputs, statistics);
                let through = self.through(geometry, saved, 0, &sums);
                columns::apply_backward(inputs, dx, statistics, &self.weight, &through);
                return Gradients::of(&sums);
            }
            NormSpec::Batch(_) if self.mode == Mode::Evaluation => 1,
            NormSpec::Batch(_) | NormSpec::Switchable(_) => geometry.samples * channels,
            NormSpec::Group(_) | NormSpec::Instance(_) => geometry.row_len / spatial,
            _ => unimplemented!("{}", self.spec.name()),
        };
        let planes = self.backward_planes(geometry, saved, together, inputs, dx);
        let gradients = Gradients::of(&by_channel(&planes, channels));
        match self.spec {
            NormSpec::Switchable(_) => self.with_shares(gradients, saved, &planes),
            _ => gradients,
        }
    }

    /// `dx`, and the sums of each plane. `together` neighbouring planes depend on each other.
    fn backward_planes(
        &self,
        geometry: &Geometry,
        saved: &Saved,
        together: usize,
        [x, dy]: [&[f32]; 2],
        dx: &mut [f32],
    ) -> Vec<Sums> {
        let (spatial, channels) = (geometry.spatial, geometry.channels);
        let sums = |(at, (x, dy)): (usize, (&[f32], &[f32]))| saved.statistics[at].sums(x, dy);
        let write = |at: usize, through: &Through, [x, dy]: [&[f32]; 2], dx: &mut [f32]| {
            saved.statistics[at].backward([x, dy], dx, self.weight[at % channels], *through);
        };
        let len = together * spatial;
        let sets = x.len() / len;
        let mut all = vec![Sums::default(); sets * together];
        if sets < 4 * rayon::current_num_threads() {
            let planes = x.par_chunks(spatial).zip(dy.par_chunks(spatial)).enumerate();
            planes.with_min_len(TASK.div_ceil(spatial)).map(sums).collect_into_vec(&mut all);
            let through: Vec<Through> = all
                .chunks(together)
                .enumerate()
                .flat_map(|(set, sums)| self.through(geometry, saved, set * together, sums))
                .collect();
            let planes = x.par_chunks(spatial).zip(dy.par_chunks(spatial)).zip(dx.par_chunks_mut(spatial));
            planes
                .zip(&through)
                .enumerate()
                .with_min_len(TASK.div_ceil(spatial))
                .for_each(|(at, (((x, dy), dx), through))| write(at, through, [x, dy], dx));
            return all;
        }
        let inputs = x.par_chunks(len).zip(dy.par_chunks(len));
        let sets = inputs.zip(dx.par_chunks_mut(len)).zip(all.par_chunks_mut(together)).enumerate();
        sets.with_min_len(TASK.div_ceil(len)).for_each(|(set, (((x, dy), dx), all))| {
            let first = set * together;
            let planes = || x.chunks(spatial).zip(dy.chunks(spatial)).enumerate();
            all.iter_mut().zip(planes()).for_each(|(all, (at, inputs))| *all = sums((first + at, inputs)));
            let through = self.through(geometry, saved, first, all);
            for (((at, (x, dy)), dx), through) in planes().zip(dx.chunks_mut(spatial)).zip(&through) {
                write(first + at, through, [x, dy], dx);
            }
        });
        all
    }

    /// What reaches each of the planes from `first` through the statistics, from the planes' sums.
    fn through(&self, geometry: &Geometry, saved: &Saved, first: usize, sums: &[Sums]) -> Vec<Through> {
        let channels = geometry.channels;
        let weighted: Vec<Sums> =
            sums.iter().enumerate().map(|(at, sums)| sums.times(self.weight[(first + at) % channels])).collect();
        match self.spec {
            NormSpec::Batch(_) if self.mode == Mode::Evaluation => vec![Through::default(); sums.len()],
            NormSpec::Batch(_) => {
                let of: Vec<_> = by_channel(&weighted, channels).iter().map(|h| h.through(geometry.row_len)).collect();
                of.repeat(sums.len() / channels)
            }
            NormSpec::Switchable(_) => self.through_parts(geometry, saved, &weighted),
            _ => vec![weighted.into_iter().sum::<Sums>().through(geometry.row_len); sums.len()],
        }
    }

    /// Switchable norm's: through the instance's, the layer's and the batch's statistics, each a third of the whole.
    fn through_parts(&self, geometry: &Geometry, saved: &Saved, weighted: &[Sums]) -> Vec<Through> {
        let (samples, channels, spatial) = (geometry.samples, geometry.channels, geometry.spatial as f32);
        // By the mean and by the variance of each plane: −Σ h·r and −½ Σ h·x̂·r².
        let instance: Vec<Sums> = weighted.iter().zip(&saved.statistics).map(|(h, s)| h.by_moments(s.scale)).collect();
        let layer: Vec<Sums> = instance.chunks(channels).map(|sample| sample.iter().copied().sum()).collect();
        let batch = by_channel(&instance, channels);
        let sizes = [spatial, spatial * channels as f32, spatial * samples as f32];
        let of = |at: usize| {
            let s = &saved.statistics[at];
            let by = [instance[at], layer[at / channels], batch[at % channels]];
            let mut through = Through::default();
            for ((by, part), size) in by.iter().zip(&saved.parts[at]).zip(sizes) {
                // x − μₖ = x̂/r + (μ − μₖ)
                let apart = (s.shift - part.shift) + (s.mean - part.mean);
                through.of_x += 2.0 * by.dy_x / (3.0 * size * s.scale * s.scale);
                through.constant += (by.dy + 2.0 * by.dy_x * apart) / (3.0 * size * s.scale);
            }
            through
        };
        (0..weighted.len()).map(of).collect()
    }

    /// With the gradients by the logits of the two softmaxes, whose shares are a third.
    fn with_shares(&self, gradients: Gradients, saved: &Saved, planes: &[Sums]) -> Gradients {
        let channels = self.weight.len();
        let (mut means, mut vars) = ([0.0; 3], [0.0; 3]);
        for (at, (sums, parts)) in planes.iter().zip(&saved.parts).enumerate() {
            let s = &saved.statistics[at];
            let by = sums.times(self.weight[at % channels]).by_moments(s.scale);
            let variance = parts.iter().map(Moments::variance).sum::<f32>() / 3.0;
            for (k, part) in parts.iter().enumerate() {
                means[k] += by.dy * ((part.shift - s.shift) + (part.mean - s.mean)) / 3.0;
                vars[k] += by.dy_x * (part.variance() - variance) / 3.0;
            }
        }
        Gradients { mean_weight: means.to_vec(), var_weight: vars.to_vec(), ..gradients }
    }

    /// Layer and RMS norm: a weight for each element of a row.
    fn backward_rows(&self, len: usize, saved: &Saved, [x, dy]: [&[f32]; 2], dx: &mut [f32]) -> Gradients {
        let centered = matches!(self.spec, NormSpec::Layer(_));
        let through = |h: Sums| Sums { dy: if centered { h.dy } else { 0.0 }, ..h }.through(len);
        let rows = saved.statistics.len().div_ceil((4 * rayon::current_num_threads()).min(x.len().div_ceil(TASK)));
        let tasks = x.par_chunks(rows * len).zip(dy.par_chunks(rows * len)).zip(saved.statistics.par_chunks(rows));
        let parts = tasks.zip(dx.par_chunks_mut(rows * len)).map(|(((x, dy), statistics), dx)| {
            let (mut weight, mut bias) = (vec![0.0; len], vec![0.0; len]);
            let rows = x.chunks(len).zip(dy.chunks(len)).zip(dx.chunks_mut(len)).zip(statistics);
            for (((x, dy), dx), s) in rows {
                let through = through(s.weighted_sums(x, dy, &self.weight));
                s.backward_each([x, dy], dx, &self.weight, through);
                s.add_each([x, dy], &mut weight, &mut bias);
            }
            [weight, bias]
        });
        let [weight, bias] = parts
            .collect::<Vec<_>>()
            .into_iter()
            .reduce(|mut all, part| {
                all.iter_mut().flatten().zip(part.iter().flatten()).for_each(|(all, part)| *all += part);
                all
            })
            .unwrap_or_default();
        Gradients { weight, bias: if centered { bias } else { vec![] }, ..Gradients::default() }
    }
}
