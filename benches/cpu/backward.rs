//! The backward of each norm on the CPU, from the statistics of its forward.

use std::iter::repeat_n;

use gpunorm::unstable::Geometry;
use gpunorm::{Mode, NormSpec};
use rayon::prelude::*;

use super::arithmetic::{Moments, Statistics, Sums, Through};
use super::{Cpu, PLANES, Parts, TASK, by_channel, by_sample, columns, interleaved, plane_moments, tiny};

/// What a forward leaves for its backward.
pub struct Saved {
    /// Of each row of layer and RMS norm, else of each plane.
    pub statistics: Vec<Statistics>,
    /// Of switchable norm.
    parts: Parts,
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
        if geometry.interleaved > 1 {
            return self.save(&interleaved::apart_geometry(geometry), &interleaved::apart(geometry, x));
        }
        let (spatial, samples) = (geometry.spatial, geometry.samples);
        let saved = |statistics| Saved { statistics, parts: Parts::default() };
        let of = |moments: &[Moments]| moments.iter().map(|m| m.statistics(self.eps)).collect::<Vec<_>>();
        match self.spec {
            NormSpec::Layer(_) | NormSpec::Rms(_) => {
                let centered = self.centered();
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
                let parts = Parts::of(geometry, x);
                let planes = 0..geometry.samples * geometry.channels;
                Saved { statistics: planes.map(|plane| self.mixed(&parts.of_plane(plane))).collect(), parts }
            }
            _ => unimplemented!("{}", self.spec.name()),
        }
    }

    /// `dx` and the other gradients from `dy`.
    pub fn backward(&self, geometry: &Geometry, saved: &Saved, inputs: [&[f32]; 2], dx: &mut [f32]) -> Gradients {
        if geometry.interleaved > 1 {
            let mut planes = vec![0.0; dx.len()];
            let inputs = inputs.map(|input| interleaved::apart(geometry, input));
            let inputs = inputs.each_ref().map(|input| &input[..]);
            let gradients = self.backward(&interleaved::apart_geometry(geometry), saved, inputs, &mut planes);
            interleaved::together(geometry, &planes, dx);
            return gradients;
        }
        let (spatial, channels) = (geometry.spatial, geometry.channels);
        let together = match self.spec {
            NormSpec::Layer(_) | NormSpec::Rms(_) if geometry.row_len <= tiny::LONGEST => {
                let [weight, bias] = tiny::backward(inputs, dx, &saved.statistics, &self.weight, self.centered());
                return Gradients { weight, bias: if self.centered() { bias } else { vec![] }, ..Gradients::default() };
            }
            NormSpec::Group(_) | NormSpec::Instance(_) if geometry.row_len <= tiny::LONGEST => {
                let planes = geometry.row_len / spatial;
                let rows: Vec<Statistics> = saved.statistics.iter().step_by(planes).copied().collect();
                let weight = self.of_elements(&self.weight, spatial);
                let [weight, bias] = tiny::backward(inputs, dx, &rows, &weight, true)
                    .map(|of| of.chunks(spatial).map(|of| of.iter().sum()).collect());
                return Gradients { weight, bias, ..Gradients::default() };
            }
            NormSpec::Switchable(_) if channels * spatial <= tiny::LONGEST => {
                return self.backward_samples(spatial, &saved.parts.batch, inputs, dx);
            }
            NormSpec::Layer(_) | NormSpec::Rms(_) => {
                return self.backward_rows(geometry.row_len, saved, inputs, dx);
            }
            NormSpec::Batch(_) if spatial == 1 => {
                let statistics = &saved.statistics[..channels];
                let sums = columns::sums(inputs, statistics);
                let through = self.through(geometry, saved, channels, &sums);
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
            let through = self.through(geometry, saved, together, &all);
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
            let through = self.through_set(geometry, first, all);
            for ((at, (x, dy)), dx) in planes().zip(dx.chunks_mut(spatial)) {
                write(first + at, &through, [x, dy], dx);
            }
        });
        all
    }

    /// What reaches the planes from `first`, which depend on no others, through their statistic, from their sums.
    fn through_set(&self, geometry: &Geometry, first: usize, sums: &[Sums]) -> Through {
        match (&self.spec, self.mode) {
            (NormSpec::Batch(_), Mode::Evaluation) => Through::default(),
            _ => self.weighted(first, sums).sum::<Sums>().through(geometry.row_len),
        }
    }

    /// Sums of h, of the planes from `first`.
    fn weighted(&self, first: usize, sums: &[Sums]) -> impl Iterator<Item = Sums> {
        let channels = self.weight.len();
        sums.iter().enumerate().map(move |(at, sums)| sums.times(self.weight[(first + at) % channels]))
    }

    /// What reaches each plane through the statistics, from the sums of all; `together` neighbours depend on each other.
    fn through(&self, geometry: &Geometry, saved: &Saved, together: usize, sums: &[Sums]) -> Vec<Through> {
        let channels = geometry.channels;
        let weighted = || self.weighted(0, sums).collect::<Vec<_>>();
        match self.spec {
            NormSpec::Batch(_) if self.mode == Mode::Training => {
                let of_channel = by_channel(&weighted(), channels);
                let of_channel: Vec<_> = of_channel.iter().map(|h| h.through(geometry.row_len)).collect();
                of_channel.repeat(sums.len() / channels)
            }
            NormSpec::Switchable(_) => self.through_planes(geometry, saved, &weighted()),
            _ => {
                let sets = sums.chunks(together).enumerate();
                sets.flat_map(|(set, sums)| repeat_n(self.through_set(geometry, set * together, sums), together))
                    .collect()
            }
        }
    }

    /// Switchable norm's: through the instance's, the layer's and the batch's statistics, each a third of the whole.
    fn through_planes(&self, geometry: &Geometry, saved: &Saved, weighted: &[Sums]) -> Vec<Through> {
        let channels = geometry.channels;
        // By the mean and by the variance of each plane: −Σ h·r and −½ Σ h·x̂·r².
        let planes = weighted.par_iter().zip(&saved.statistics).with_min_len(PLANES);
        let instance: Vec<Sums> = planes.map(|(h, s)| h.by_moments(s.scale)).collect();
        let layer = by_sample(&instance, channels);
        let batch = by_channel(&instance, channels);
        let of = |at: usize| {
            let s = &saved.statistics[at];
            through_parts(s, &saved.parts.of_plane(at), &[instance[at], layer[at / channels], batch[at % channels]])
        };
        (0..weighted.len()).into_par_iter().with_min_len(PLANES).map(of).collect()
    }

    /// With the gradients by the logits of the two softmaxes, whose shares are a third.
    fn with_shares(&self, gradients: Gradients, saved: &Saved, planes: &[Sums]) -> Gradients {
        let channels = self.weight.len();
        // By the three shares of the means and of the variances.
        let of_planes = |(first, planes): (usize, &[Sums])| {
            let mut all = [[0.0; 3]; 2];
            for (at, sums) in (first * PLANES..).zip(planes) {
                let (s, parts) = (&saved.statistics[at], saved.parts.of_plane(at));
                let by = sums.times(self.weight[at % channels]).by_moments(s.scale);
                let shares = by_shares(s, &parts, by);
                all.iter_mut().flatten().zip(shares.iter().flatten()).for_each(|(all, share)| *all += share);
            }
            all
        };
        let parts: Vec<[[f32; 3]; 2]> = planes.par_chunks(PLANES).enumerate().map(of_planes).collect();
        let of_logits = |which: usize| (0..3).map(|k| parts.iter().map(|part| part[which][k]).sum()).collect();
        Gradients { mean_weight: of_logits(0), var_weight: of_logits(1), ..gradients }
    }

    /// Layer and RMS norm: a weight for each element of a row.
    fn backward_rows(&self, len: usize, saved: &Saved, [x, dy]: [&[f32]; 2], dx: &mut [f32]) -> Gradients {
        let centered = self.centered();
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

/// Through a switchable norm's three statistics, from the gradients by their means and variances.
pub fn through_parts(s: &Statistics, parts: &[Moments; 3], by: &[Sums; 3]) -> Through {
    let mut through = Through::default();
    for (part, by) in parts.iter().zip(by) {
        // x − μₖ = x̂/r + (μ − μₖ)
        let apart = (s.shift - part.shift) + (s.mean - part.mean);
        through.of_x += 2.0 * by.dy_x / (3.0 * part.count * s.scale * s.scale);
        through.constant += (by.dy + 2.0 * by.dy_x * apart) / (3.0 * part.count * s.scale);
    }
    through
}

/// The gradients by the logits of the three shares, of the means and of the variances, from those by a mean and a variance.
pub fn by_shares(s: &Statistics, parts: &[Moments; 3], by: Sums) -> [[f32; 3]; 2] {
    let variances = parts.map(|part| part.variance());
    let variance = variances.iter().sum::<f32>() / 3.0;
    let of_means = parts.map(|part| by.dy * ((part.shift - s.shift) + (part.mean - s.mean)) / 3.0);
    [of_means, variances.map(|of_part| by.dy_x * (of_part - variance) / 3.0)]
}
