//! Switchable norm whose samples are tiny rows: a tile is of samples, a few of its lines a channel.

use std::array::from_fn;

use rayon::prelude::*;

use super::arithmetic::{Moments, Sums};
use super::backward::{Gradients, by_shares, through_parts};
use super::tiny::{self, LONGEST, Lanes, ManyMoments, ManyStatistics, Normalize, ROWS};
use super::{Cpu, columns};

/// What the samples of a tile have in a channel.
struct Planes {
    instance: ManyMoments,
    layer: ManyMoments,
    batch: Moments,
    statistics: ManyStatistics,
    /// Σ dy and Σ dy·x̂.
    sums: [Lanes; 2],
    weight: f32,
}

/// Normalizes each channel of samples by its mixed statistics.
struct Mixed<'a> {
    layer: &'a Cpu,
    batch: &'a [Moments],
}

impl Normalize for Mixed<'_> {
    #[inline(always)]
    fn normalize(&self, tile: &mut [Lanes]) {
        let layer = ManyMoments::of(tile, true);
        for (tile, batch) in tile.chunks_mut(tile.len() / self.batch.len()).zip(self.batch) {
            self.layer.mixed_lanes(&ManyMoments::of(tile, true), &layer, batch).normalize(tile);
        }
    }
}

/// Sums over the whole batch.
struct Totals {
    /// Of each channel: Σ dy and Σ dy·x̂, and the gradients by its instances' means and variances.
    channels: Vec<[Lanes; 4]>,
    shares: [[Lanes; 3]; 2],
}

impl Cpu {
    pub fn forward_samples(&mut self, spatial: usize, x: &[f32], y: &mut [f32]) {
        let columns = columns::moments(x, self.weight.len() * spatial);
        let batch: Vec<Moments> = columns.chunks(spatial).map(|of| of.iter().copied().sum()).collect();
        self.track(&batch, 1.0);
        let [weight, bias] = [&self.weight, &self.bias].map(|of| self.of_elements(of, spatial));
        tiny::forward(x, y, batch.len() * spatial, [&weight, &bias], &Mixed { layer: self, batch: &batch });
    }

    #[inline(always)]
    fn mixed_lanes(&self, instance: &ManyMoments, layer: &ManyMoments, batch: &Moments) -> ManyStatistics {
        ManyStatistics::each(|row| self.mixed(&[instance.row(row), layer.row(row), *batch]))
    }

    pub fn backward_samples(
        &self,
        spatial: usize,
        batch: &[Moments],
        [x, dy]: [&[f32]; 2],
        dx: &mut [f32],
    ) -> Gradients {
        let len = batch.len() * spatial;
        let (tile, task) = (ROWS * len, tiny::task(len));
        let totals = x.par_chunks(task).zip(dy.par_chunks(task)).map(|(x, dy)| {
            let mut tiles = [[[0.0; ROWS]; LONGEST]; 2];
            let mut totals = Totals { channels: vec![[[0.0; ROWS]; 4]; batch.len()], shares: [[[0.0; ROWS]; 3]; 2] };
            for (x, dy) in x.chunks(tile).zip(dy.chunks(tile)) {
                let planes = self.planes([x, dy], tiles.each_mut().map(|tile| &mut tile[..len]), batch);
                let channels = planes.iter().zip(&mut totals.channels);
                channels.for_each(|(planes, channel)| planes.add(channel, &mut totals.shares));
            }
            totals
        });
        let totals: Vec<Totals> = totals.collect();
        let sum = |of: &dyn Fn(&Totals) -> Lanes| totals.iter().flat_map(of).sum::<f32>();
        let of_channels = |which: usize| (0..batch.len()).map(move |c| sum(&|total| total.channels[c][which]));
        let by_batch: Vec<Sums> = of_channels(2).zip(of_channels(3)).map(|(dy, dy_x)| Sums { dy, dy_x }).collect();
        x.par_chunks(task).zip(dy.par_chunks(task)).zip(dx.par_chunks_mut(task)).for_each(|((x, dy), dx)| {
            let mut tiles = [[[0.0; ROWS]; LONGEST]; 2];
            for ((x, dy), dx) in x.chunks(tile).zip(dy.chunks(tile)).zip(dx.chunks_mut(tile)) {
                let planes = self.planes([x, dy], tiles.each_mut().map(|tile| &mut tile[..len]), batch);
                let by_layer: [Sums; ROWS] = from_fn(|row| planes.iter().map(|planes| planes.by(row)).sum());
                let [x, dy] = tiles.each_mut().map(|tile| &mut tile[..len]);
                let lines = x.chunks_mut(spatial).zip(dy.chunks_mut(spatial));
                for ((planes, by_batch), (x, dy)) in planes.iter().zip(&by_batch).zip(lines) {
                    planes.through(x, dy, &by_layer, *by_batch);
                }
                tiny::store(dy, dx);
            }
        });
        let shares = |which: usize| (0..3).map(|k| sum(&|total| total.shares[which][k])).collect();
        Gradients {
            bias: of_channels(0).collect(),
            weight: of_channels(1).collect(),
            mean_weight: shares(0),
            var_weight: shares(1),
        }
    }

    /// Of each channel; x̂ and dy go to the tiles.
    fn planes(&self, [x, dy]: [&[f32]; 2], [x_tile, dy_tile]: [&mut [Lanes]; 2], batch: &[Moments]) -> Vec<Planes> {
        tiny::load(x, x_tile);
        tiny::load(dy, dy_tile);
        let layer = ManyMoments::of(x_tile, true);
        let spatial = x_tile.len() / batch.len();
        let lines = x_tile.chunks_mut(spatial).zip(dy_tile.chunks(spatial));
        let planes = lines.zip(batch).zip(&self.weight).map(|(((x, dy), &batch), &weight)| {
            let instance = ManyMoments::of(x, true);
            let statistics = self.mixed_lanes(&instance, &layer, &batch);
            statistics.normalize(x);
            let mut sums = [[0.0; ROWS]; 2];
            for (x, dy) in x.iter().zip(dy) {
                sums[0] = from_fn(|row| sums[0][row] + dy[row]);
                sums[1] = from_fn(|row| sums[1][row] + dy[row] * x[row]);
            }
            Planes { instance, layer, batch, statistics, sums, weight }
        });
        planes.collect()
    }
}

impl Planes {
    fn parts(&self, row: usize) -> [Moments; 3] {
        [self.instance.row(row), self.layer.row(row), self.batch]
    }

    /// The gradients by an instance's mean and variance.
    fn by(&self, row: usize) -> Sums {
        let sums = Sums { dy: self.sums[0][row], dy_x: self.sums[1][row] };
        sums.times(self.weight).by_moments(self.statistics.row(row).scale)
    }

    fn add(&self, channel: &mut [Lanes; 4], shares: &mut [[Lanes; 3]; 2]) {
        for row in 0..ROWS {
            let by = self.by(row);
            let terms = [self.sums[0][row], self.sums[1][row], by.dy, by.dy_x];
            channel.iter_mut().zip(terms).for_each(|(sums, term)| sums[row] += term);
            let terms = by_shares(&self.statistics.row(row), &self.parts(row), by);
            shares.iter_mut().flatten().zip(terms.iter().flatten()).for_each(|(sums, term)| sums[row] += term);
        }
    }

    /// dx in place of dy.
    fn through(&self, x: &mut [Lanes], dy: &mut [Lanes], by_layer: &[Sums; ROWS], by_batch: Sums) {
        let mut lanes = [[0.0; ROWS]; 2];
        for row in 0..ROWS {
            let by = [self.by(row), by_layer[row], by_batch];
            let through = through_parts(&self.statistics.row(row), &self.parts(row), &by);
            (lanes[0][row], lanes[1][row]) = (through.of_x, through.constant);
        }
        self.statistics.through(x, dy, &[[self.weight; ROWS]; LONGEST], &lanes);
    }
}
