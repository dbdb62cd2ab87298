//! Batch norm where a channel's values lie scattered: samples as they lie, a sum for each column.

use rayon::prelude::*;

use super::TASK;
use super::arithmetic::{Moments, Statistics};

/// Elements that stay in the second cache between two passes.
const BLOCK: usize = 1 << 15;

/// The moments of each channel, which is `spatial` neighbouring columns of `width`.
pub fn moments(x: &[f32], width: usize, spatial: usize) -> Vec<Moments> {
    let samples = x.len() / width;
    let tasks = (4 * rayon::current_num_threads()).min(x.len().div_ceil(TASK));
    let chunks: Vec<Vec<Moments>> =
        x.par_chunks(samples.div_ceil(tasks) * width).map(|chunk| chunk_moments(chunk, width)).collect();
    let column = |j: usize| Moments::merged(chunks.iter().map(|chunk| &chunk[j]));
    (0..width / spatial)
        .map(|c| Moments::merged((c * spatial..(c + 1) * spatial).map(column).collect::<Vec<_>>().iter()))
        .collect()
}

/// The moments of each column of a few samples.
fn chunk_moments(x: &[f32], width: usize) -> Vec<Moments> {
    let mut all: Vec<Moments> = x[..width].iter().map(|&shift| Moments { shift, ..Moments::default() }).collect();
    let (mut shifts, mut means, mut squares) = (vec![0.0; width], vec![0.0; width], vec![0.0; width]);
    for block in x.chunks(BLOCK.div_ceil(width) * width) {
        let count = (block.len() / width) as f32;
        all.iter().zip(&mut shifts).for_each(|(all, shift)| *shift = all.shift);
        means.fill(0.0);
        for sample in block.chunks_exact(width) {
            for ((sum, x), shift) in means.iter_mut().zip(sample).zip(&shifts) {
                *sum += x - shift;
            }
        }
        means.iter_mut().for_each(|mean| *mean /= count);
        squares.fill(0.0);
        for sample in block.chunks_exact(width) {
            for (((square, x), shift), mean) in squares.iter_mut().zip(sample).zip(&shifts).zip(&means) {
                let deviation = (x - shift) - mean;
                *square += deviation * deviation;
            }
        }
        for (((all, &shift), &mean), &m2) in all.iter_mut().zip(&shifts).zip(&means).zip(&squares) {
            *all = all.merge(&Moments { count, shift, mean, m2 });
        }
    }
    all
}

/// y from the statistics, weight and bias of each channel.
pub fn apply(x: &[f32], y: &mut [f32], spatial: usize, statistics: &[Statistics], weight: &[f32], bias: &[f32]) {
    let per_column = |value: &dyn Fn(usize) -> f32| -> Vec<f32> {
        (0..statistics.len() * spatial).map(|column| value(column / spatial)).collect()
    };
    let shifts = per_column(&|c| statistics[c].shift);
    let means = per_column(&|c| statistics[c].mean);
    let scales = per_column(&|c| statistics[c].scale * weight[c]);
    let biases = per_column(&|c| bias[c]);
    let width = shifts.len();
    let samples = y.par_chunks_mut(width).zip(x.par_chunks(width));
    samples.with_min_len(TASK.div_ceil(width)).for_each(|(y, x)| {
        let columns = shifts.iter().zip(&means).zip(&scales).zip(&biases);
        for ((y, x), (((shift, mean), scale), bias)) in y.iter_mut().zip(x).zip(columns) {
            *y = ((x - shift) - mean) * scale + bias;
        }
    });
}
