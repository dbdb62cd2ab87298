//! Batch norm where a channel's values lie scattered: samples as they lie, a sum for each column.

use rayon::prelude::*;

use super::TASK;
use super::arithmetic::{Moments, Statistics, Sums, Through};

/// Elements that stay in the second cache between two passes.
const BLOCK: usize = 1 << 15;

/// The moments of each channel, which is `spatial` neighbouring columns of `width`.
pub fn moments(x: &[f32], width: usize, spatial: usize) -> Vec<Moments> {
    let samples = x.len() / width;
    let tasks = (4 * rayon::current_num_threads()).min(x.len().div_ceil(TASK));
    let chunks: Vec<Vec<Moments>> =
        x.par_chunks(samples.div_ceil(tasks) * width).map(|chunk| chunk_moments(chunk, width)).collect();
    let column = |j: usize| chunks.iter().map(|chunk| &chunk[j]).sum::<Moments>();
    (0..width / spatial)
        .map(|c| (c * spatial..(c + 1) * spatial).map(column).collect::<Vec<_>>().iter().sum())
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
    let per_column = |value: &dyn Fn(usize) -> f32| per_column(statistics.len() * spatial, spatial, value);
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

/// The value of each column's channel.
fn per_column(width: usize, spatial: usize, value: &dyn Fn(usize) -> f32) -> Vec<f32> {
    (0..width).map(|column| value(column / spatial)).collect()
}

/// Σ dy and Σ dy·x̂ of each channel.
pub fn sums([x, dy]: [&[f32]; 2], spatial: usize, statistics: &[Statistics]) -> Vec<Sums> {
    let width = statistics.len() * spatial;
    let per_column = |value: &dyn Fn(usize) -> f32| per_column(width, spatial, value);
    let shifts = per_column(&|c| statistics[c].shift);
    let means = per_column(&|c| statistics[c].mean);
    let rows = (x.len() / width).div_ceil((4 * rayon::current_num_threads()).min(x.len().div_ceil(TASK)));
    let tasks = x.par_chunks(rows * width).zip(dy.par_chunks(rows * width)).map(|(x, dy)| {
        let (mut plain, mut with_x) = (vec![0.0f32; width], vec![0.0f32; width]);
        for (x, dy) in x.chunks_exact(width).zip(dy.chunks_exact(width)) {
            let columns = shifts.iter().zip(&means).zip(&mut plain).zip(&mut with_x);
            for ((x, dy), (((shift, mean), plain), with_x)) in x.iter().zip(dy).zip(columns) {
                *plain += dy;
                *with_x += dy * ((x - shift) - mean);
            }
        }
        (plain, with_x)
    });
    let tasks: Vec<_> = tasks.collect();
    let channel = |(c, s): (usize, &Statistics)| {
        let columns = c * spatial..(c + 1) * spatial;
        let each = tasks.iter().flat_map(|(plain, with_x)| plain[columns.clone()].iter().zip(&with_x[columns.clone()]));
        each.map(|(&dy, &dy_x)| Sums { dy, dy_x: dy_x * s.scale }).sum()
    };
    statistics.iter().enumerate().map(channel).collect()
}

/// dx from the statistics and the weight of each channel.
pub fn apply_backward(
    [x, dy]: [&[f32]; 2],
    dx: &mut [f32],
    spatial: usize,
    statistics: &[Statistics],
    weight: &[f32],
    through: &[Through],
) {
    let per_column = |value: &dyn Fn(usize) -> f32| per_column(statistics.len() * spatial, spatial, value);
    let shifts = per_column(&|c| statistics[c].shift);
    let means = per_column(&|c| statistics[c].mean);
    let of_dy = per_column(&|c| statistics[c].scale * weight[c]);
    let of_x = per_column(&|c| statistics[c].scale * statistics[c].scale * through[c].of_x);
    let constants = per_column(&|c| statistics[c].scale * through[c].constant);
    let width = shifts.len();
    let samples = dx.par_chunks_mut(width).zip(x.par_chunks(width)).zip(dy.par_chunks(width));
    samples.with_min_len(TASK.div_ceil(width)).for_each(|((dx, x), dy)| {
        let columns = shifts.iter().zip(&means).zip(&of_dy).zip(&of_x).zip(&constants);
        for (((dx, x), dy), ((((shift, mean), of_dy), of_x), constant)) in dx.iter_mut().zip(x).zip(dy).zip(columns) {
            *dx = of_dy * dy + (of_x * ((x - shift) - mean) + constant);
        }
    });
}
