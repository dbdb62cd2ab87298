//! Rows of a few elements, which fill no vector register: several rows side by side, each in a lane of its own.

use rayon::prelude::*;

use super::TASK;

/// Elements of the longest row that is one of these.
pub const LONGEST: usize = 16;
/// Rows side by side.
const ROWS: usize = 16;

/// A value of each row.
type Lanes = [f32; ROWS];

/// y = x̂·weight + bias of rows of `len` elements, `weight` and `bias` being those of the first `period` elements and, from
/// there on, of more.
pub fn forward(x: &[f32], y: &mut [f32], len: usize, (centered, eps): (bool, f32), [weight, bias]: [&[f32]; 2]) {
    let period = weight.len();
    let extended = |of: &[f32]| -> Vec<f32> { of.iter().copied().cycle().take(period + ROWS * len).collect() };
    let (weight, bias) = (extended(weight), extended(bias));
    let task = (TASK / (ROWS * len)).max(1) * ROWS * len;
    y.par_chunks_mut(task).zip(x.par_chunks(task)).enumerate().for_each(|(at, (y, x))| {
        let mut tile = [[0.0; ROWS]; LONGEST];
        let tile = &mut tile[..len];
        let mut column = at * task % period;
        for (y, x) in y.chunks_mut(ROWS * len).zip(x.chunks(ROWS * len)) {
            for (row, x) in x.chunks_exact(len).enumerate() {
                tile.iter_mut().zip(x).for_each(|(values, x)| values[row] = *x);
            }
            normalize(tile, centered, eps);
            let (weight, bias) = (&weight[column..][..y.len()], &bias[column..][..y.len()]);
            let rows = y.chunks_exact_mut(len).zip(weight.chunks_exact(len)).zip(bias.chunks_exact(len));
            for (row, ((y, weight), bias)) in rows.enumerate() {
                for (((y, values), weight), bias) in y.iter_mut().zip(&*tile).zip(weight).zip(bias) {
                    *y = values[row] * weight + bias;
                }
            }
            column = (column + y.len()) % period;
        }
    });
}

/// x̂ in place of x.
fn normalize(tile: &mut [Lanes], centered: bool, eps: f32) {
    let share = 1.0 / tile.len() as f32;
    let [shift, mean, squares] = moments(tile, centered);
    let (mut scale, mut offset) = ([0.0; ROWS], [0.0; ROWS]);
    for row in 0..ROWS {
        scale[row] = 1.0 / (squares[row] * share + eps).sqrt();
        offset[row] = -mean[row] * scale[row];
    }
    for values in tile {
        for row in 0..ROWS {
            values[row] = (values[row] - shift[row]) * scale[row] + offset[row];
        }
    }
}

/// Shift, mean and squared deviations of each row, as `Moments` has them.
fn moments(tile: &[Lanes], centered: bool) -> [Lanes; 3] {
    let share = 1.0 / tile.len() as f32;
    let mut shift = [0.0; ROWS];
    if centered {
        let first = tile[0];
        for values in tile {
            for row in 0..ROWS {
                shift[row] += values[row] - first[row];
            }
        }
        for row in 0..ROWS {
            shift[row] = first[row] + shift[row] * share;
        }
    }
    let (mut mean, mut squares) = ([0.0; ROWS], [0.0; ROWS]);
    for values in tile {
        for row in 0..ROWS {
            let deviation = values[row] - shift[row];
            mean[row] += deviation;
            squares[row] += deviation * deviation;
        }
    }
    for row in 0..ROWS {
        let sum = mean[row];
        mean[row] = if centered { sum * share } else { 0.0 };
        squares[row] -= sum * mean[row];
    }
    [shift, mean, squares]
}
