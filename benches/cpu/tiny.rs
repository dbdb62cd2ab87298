//! Rows of a few elements, which fill no vector register: several rows side by side, each in a lane of its own.

use std::array::from_fn;

use rayon::prelude::*;

use super::TASK;
use super::arithmetic::{Moments, Statistics};
use super::vectors::{self, Loop};

/// Elements of the longest row that is one of these.
pub const LONGEST: usize = 16;
/// Rows side by side.
pub const ROWS: usize = 16;

/// A value of each row. What is computed of them is `from_fn` of a whole, which is read before it is written: only then
/// does the compiler see that it may use vector registers.
pub type Lanes = [f32; ROWS];

/// `Moments` of each row.
#[derive(Clone, Copy)]
pub struct ManyMoments {
    count: f32,
    shift: Lanes,
    mean: Lanes,
    m2: Lanes,
}

/// `Statistics` of each row.
#[derive(Default)]
pub struct ManyStatistics {
    shift: Lanes,
    mean: Lanes,
    scale: Lanes,
}

/// How a tile's x becomes x̂.
pub trait Normalize: Sync {
    fn normalize(&self, tile: &mut [Lanes]);
}

/// From each row's own statistics.
pub struct Own {
    pub centered: bool,
    pub eps: f32,
}

impl Normalize for Own {
    #[inline(always)]
    fn normalize(&self, tile: &mut [Lanes]) {
        ManyMoments::of(tile, self.centered).statistics(self.eps).normalize(tile);
    }
}

/// y = x̂·weight + bias of rows of `len` elements. `weight` and `bias` are those of the first rows and repeat.
pub fn forward(x: &[f32], y: &mut [f32], len: usize, [weight, bias]: [&[f32]; 2], normalize: &impl Normalize) {
    let (weight, bias) = (tiles(weight, len), tiles(bias, len));
    let task = task(weight.len());
    let tasks = y.par_chunks_mut(task).zip(x.par_chunks(task));
    tasks.for_each(|(y, x)| vectors::run(Forward { x, y, len, weight: &weight, bias: &bias, normalize }));
}

struct Forward<'a, N> {
    x: &'a [f32],
    y: &'a mut [f32],
    len: usize,
    weight: &'a [Lanes],
    bias: &'a [Lanes],
    normalize: &'a N,
}

impl<N: Normalize> Loop for Forward<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Forward { x, y, len, weight, bias, normalize } = self;
        let mut tile = [[0.0; ROWS]; LONGEST];
        let tile = &mut tile[..len];
        let parameters = weight.chunks_exact(len).zip(bias.chunks_exact(len)).cycle();
        let rows = y.chunks_mut(ROWS * len).zip(x.chunks(ROWS * len));
        for ((y, x), (weight, bias)) in rows.zip(parameters) {
            load(x, tile);
            normalize.normalize(tile);
            for ((values, weight), bias) in tile.iter_mut().zip(weight).zip(bias) {
                *values = from_fn(|row| values[row] * weight[row] + bias[row]);
            }
            store(tile, y);
        }
    }
}

/// dx, and the gradients by the weights and the biases of the first rows, from the statistics of each row.
pub fn backward(
    [x, dy]: [&[f32]; 2],
    dx: &mut [f32],
    statistics: &[Statistics],
    weight: &[f32],
    centered: bool,
) -> [Vec<f32>; 2] {
    let (len, period) = (x.len() / statistics.len(), weight.len());
    let weight = tiles(weight, len);
    let task = task(weight.len());
    let inputs = x.par_chunks(task).zip(dy.par_chunks(task)).zip(statistics.par_chunks(task / len));
    let parts = inputs.zip(dx.par_chunks_mut(task)).map(|(((x, dy), statistics), dx)| {
        vectors::run(Backward { x, dy, dx, len, statistics, weight: &weight, centered })
    });
    let mut sums = [vec![0.0; period], vec![0.0; period]];
    for part in parts.collect::<Vec<_>>() {
        for (at, gradients) in part.iter().enumerate() {
            for (sums, lanes) in sums.iter_mut().zip(gradients) {
                for (row, gradient) in lanes.iter().enumerate() {
                    sums[((at / len * ROWS + row) * len + at % len) % period] += gradient;
                }
            }
        }
    }
    sums
}

struct Backward<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    len: usize,
    statistics: &'a [Statistics],
    weight: &'a [Lanes],
    centered: bool,
}

impl Loop for Backward<'_> {
    /// The gradients by weight and bias.
    type Output = Vec<[Lanes; 2]>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Backward { x, dy, dx, len, statistics, weight, centered } = self;
        let mut gradients = vec![[[0.0; ROWS]; 2]; weight.len()];
        let mut tiles = [[[0.0; ROWS]; LONGEST]; 2];
        let [x_tile, dy_tile] = tiles.each_mut().map(|tile| &mut tile[..len]);
        let inputs = x.chunks(ROWS * len).zip(dy.chunks(ROWS * len)).zip(statistics.chunks(ROWS));
        for (at, (((x, dy), statistics), dx)) in inputs.zip(dx.chunks_mut(ROWS * len)).enumerate() {
            let first = at * len % weight.len();
            let (weight, gradients) = (&weight[first..][..len], &mut gradients[first..][..len]);
            load(x, x_tile);
            load(dy, dy_tile);
            let statistics = ManyStatistics::each(|row| statistics.get(row).copied().unwrap_or_default());
            statistics.normalize(x_tile);
            let through = add_gradients(x_tile, dy_tile, weight, gradients, centered);
            statistics.through(x_tile, dy_tile, weight, &through);
            store(dy_tile, dx);
        }
        gradients
    }
}

/// Adds dy·x̂ and dy to the gradients, and gives what reaches the rows as `Through` has it.
#[inline(always)]
fn add_gradients(
    x: &[Lanes],
    dy: &[Lanes],
    weight: &[Lanes],
    gradients: &mut [[Lanes; 2]],
    centered: bool,
) -> [Lanes; 2] {
    let mut sums = [[0.0; ROWS]; 2];
    for (((x, dy), weight), [by_weight, by_bias]) in x.iter().zip(dy).zip(weight).zip(gradients) {
        let dy_x: Lanes = from_fn(|row| dy[row] * x[row]);
        *by_weight = from_fn(|row| by_weight[row] + dy_x[row]);
        *by_bias = from_fn(|row| by_bias[row] + dy[row]);
        sums[0] = from_fn(|row| sums[0][row] + dy_x[row] * weight[row]);
        sums[1] = from_fn(|row| sums[1][row] + dy[row] * weight[row]);
    }
    let share = 1.0 / x.len() as f32;
    let shares = [-share, if centered { -share } else { 0.0 }];
    from_fn(|which| sums[which].map(|sum| sum * shares[which]))
}

/// The elements that are a task: whole repetitions of the tiles of so many parameters each lane.
pub fn task(parameters: usize) -> usize {
    TASK.next_multiple_of(parameters * ROWS)
}

/// Parameters of the first rows as those of whole tiles, which repeat.
fn tiles(of: &[f32], len: usize) -> Vec<Lanes> {
    let rows = of.len() / len;
    let mut tiles = vec![];
    loop {
        for element in 0..len {
            tiles.push(from_fn(|row| of[(tiles.len() / len * ROWS + row) % rows * len + element]));
        }
        if (tiles.len() / len * ROWS).is_multiple_of(rows) {
            return tiles;
        }
    }
}

/// Rows into lanes; lanes without a row become 0.
#[inline(always)]
pub fn load(x: &[f32], tile: &mut [Lanes]) {
    let len = tile.len();
    let mut half = [0.0; ROWS * LONGEST];
    let half = &mut half[..ROWS * len];
    if x.len() == half.len() {
        interleave(x, half);
    } else {
        let mut rows = [0.0; ROWS * LONGEST];
        rows[..x.len()].copy_from_slice(x);
        interleave(&rows[..half.len()], half);
    }
    interleave(half, tile.as_flattened_mut());
}

/// Lanes into rows.
#[inline(always)]
pub fn store(tile: &[Lanes], y: &mut [f32]) {
    let mut half = [0.0; ROWS * LONGEST];
    let half = &mut half[..ROWS * tile.len()];
    deinterleave(tile.as_flattened(), half);
    if y.len() == half.len() {
        deinterleave(half, y);
    } else {
        let mut rows = [0.0; ROWS * LONGEST];
        deinterleave(half, &mut rows[..half.len()]);
        y.copy_from_slice(&rows[..y.len()]);
    }
}

/// The four quarters of `x` element by element: the transpose of a matrix of four rows. Two of these are that of sixteen.
#[inline(always)]
fn interleave(x: &[f32], y: &mut [f32]) {
    let [a, b, c, d] = from_fn(|quarter| &x[quarter * x.len() / 4..][..x.len() / 4]);
    for ((((y, a), b), c), d) in y.as_chunks_mut().0.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *y = [*a, *b, *c, *d];
    }
}

/// The other way.
#[inline(always)]
fn deinterleave(x: &[f32], y: &mut [f32]) {
    let (front, back) = y.split_at_mut(x.len() / 2);
    let [(a, b), (c, d)] = [front, back].map(|half| half.split_at_mut(x.len() / 4));
    for ((((x, a), b), c), d) in x.as_chunks().0.iter().zip(a).zip(b).zip(c).zip(d) {
        [*a, *b, *c, *d] = *x;
    }
}

impl ManyMoments {
    /// As `Moments::of` has them, of at most `LONGEST` elements.
    #[inline(always)]
    pub fn of(tile: &[Lanes], centered: bool) -> ManyMoments {
        let share = 1.0 / tile.len() as f32;
        let [first, mut shift, mut mean, mut m2] = [tile[0], [0.0; ROWS], [0.0; ROWS], [0.0; ROWS]];
        if centered {
            for values in tile {
                shift = from_fn(|row| shift[row] + (values[row] - first[row]));
            }
            shift = from_fn(|row| first[row] + shift[row] * share);
        }
        for values in tile {
            let deviation: Lanes = from_fn(|row| values[row] - shift[row]);
            mean = from_fn(|row| mean[row] + deviation[row]);
            m2 = from_fn(|row| m2[row] + deviation[row] * deviation[row]);
        }
        if centered {
            m2 = from_fn(|row| m2[row] - mean[row] * mean[row] * share);
            mean = mean.map(|sum| sum * share);
        } else {
            mean = [0.0; ROWS];
        }
        ManyMoments { count: tile.len() as f32, shift, mean, m2 }
    }

    /// As `Moments` has them.
    #[inline(always)]
    pub fn statistics(&self, eps: f32) -> ManyStatistics {
        ManyStatistics::each(|row| self.row(row).statistics(eps))
    }

    #[inline(always)]
    pub fn row(&self, row: usize) -> Moments {
        Moments { count: self.count, shift: self.shift[row], mean: self.mean[row], m2: self.m2[row] }
    }
}

impl ManyStatistics {
    #[inline(always)]
    pub fn each(of: impl Fn(usize) -> Statistics) -> ManyStatistics {
        let mut all = ManyStatistics::default();
        for row in 0..ROWS {
            Statistics { shift: all.shift[row], mean: all.mean[row], scale: all.scale[row] } = of(row);
        }
        all
    }

    #[inline(always)]
    pub fn row(&self, row: usize) -> Statistics {
        Statistics { shift: self.shift[row], mean: self.mean[row], scale: self.scale[row] }
    }

    /// x̂ in place of x.
    #[inline(always)]
    pub fn normalize(&self, tile: &mut [Lanes]) {
        let offset: Lanes = from_fn(|row| -self.mean[row] * self.scale[row]);
        for values in tile {
            *values = from_fn(|row| (values[row] - self.shift[row]) * self.scale[row] + offset[row]);
        }
    }

    /// dx in place of dy, from x̂ and what `Through` has of each row. One loop of all that was not vectorised.
    #[inline(always)]
    pub fn through(&self, x: &mut [Lanes], dy: &mut [Lanes], weight: &[Lanes], [of_x, constant]: &[Lanes; 2]) {
        for x in &mut *x {
            *x = from_fn(|row| x[row] * of_x[row] + constant[row]);
        }
        for (dy, weight) in dy.iter_mut().zip(weight) {
            *dy = from_fn(|row| dy[row] * weight[row]);
        }
        for (dy, x) in dy.iter_mut().zip(x) {
            *dy = from_fn(|row| (dy[row] + x[row]) * self.scale[row]);
        }
    }
}
