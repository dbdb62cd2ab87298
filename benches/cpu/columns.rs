//! Batch norm where a channel's values lie scattered, one in each sample: samples as they lie, a sum for each column.

use rayon::prelude::*;

use super::TASK;
use super::arithmetic::{Moments, Statistics, Sums, Through};

/// Elements that stay in the second cache between two passes.
const BLOCK: usize = 1 << 15;

/// Elements that make a loop over columns worth its start.
const WIDE: usize = 128;

/// The elements of the samples that are a task.
fn task(len: usize, width: usize) -> usize {
    let tasks = (4 * rayon::current_num_threads()).min(len.div_ceil(TASK));
    (len / width).div_ceil(tasks) * width
}

/// The moments of each column of `width`.
pub fn moments(x: &[f32], width: usize) -> Vec<Moments> {
    // Of few columns, several samples are one of more columns.
    let wide = width * (WIDE / width).clamp(1, x.len() / width);
    let (x, rest) = x.split_at(x.len() - x.len() % wide);
    let mut chunks: Vec<Vec<Moments>> =
        x.par_chunks(task(x.len(), wide)).map(|chunk| chunk_moments(chunk, wide)).collect();
    if !rest.is_empty() {
        chunks.push(chunk_moments(rest, width));
    }
    let of_column = |column: usize| chunks.iter().flat_map(move |chunk| chunk[column..].iter().step_by(width)).copied();
    (0..width).map(|column| of_column(column).sum()).collect()
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

/// y from the statistics, weight and bias of each column.
pub fn apply(x: &[f32], y: &mut [f32], statistics: &[Statistics], weight: &[f32], bias: &[f32]) {
    let shifts: Vec<f32> = statistics.iter().map(|s| s.shift).collect();
    let scales: Vec<f32> = statistics.iter().zip(weight).map(|(s, weight)| s.scale * weight).collect();
    let offset = |((s, scale), bias): ((&Statistics, &f32), &f32)| bias - s.mean * scale;
    let offsets: Vec<f32> = statistics.iter().zip(&scales).zip(bias).map(offset).collect();
    let width = statistics.len();
    let samples = y.par_chunks_mut(width).zip(x.par_chunks(width));
    samples.with_min_len(TASK.div_ceil(width)).for_each(|(y, x)| {
        let columns = shifts.iter().zip(&scales).zip(&offsets);
        for ((y, x), ((shift, scale), offset)) in y.iter_mut().zip(x).zip(columns) {
            *y = (x - shift) * scale + offset;
        }
    });
}

/// Σ dy and Σ dy·x̂ of each column.
pub fn sums([x, dy]: [&[f32]; 2], statistics: &[Statistics]) -> Vec<Sums> {
    let width = statistics.len();
    let shifts: Vec<f32> = statistics.iter().map(|s| s.shift).collect();
    let task = task(x.len(), width);
    let tasks = x.par_chunks(task).zip(dy.par_chunks(task)).map(|(x, dy)| {
        let (mut plain, mut with_x) = (vec![0.0f32; width], vec![0.0f32; width]);
        for (x, dy) in x.chunks_exact(width).zip(dy.chunks_exact(width)) {
            let columns = shifts.iter().zip(&mut plain).zip(&mut with_x);
            for ((x, dy), ((shift, plain), with_x)) in x.iter().zip(dy).zip(columns) {
                *plain += dy;
                *with_x += dy * (x - shift);
            }
        }
        (plain, with_x)
    });
    let tasks: Vec<_> = tasks.collect();
    let column =
        |(c, s): (usize, &Statistics)| tasks.iter().map(|(plain, with_x)| s.to_normalized([plain[c], with_x[c]])).sum();
    statistics.iter().enumerate().map(column).collect()
}

/// dx from the statistics and the weight of each column.
pub fn apply_backward(
    [x, dy]: [&[f32]; 2],
    dx: &mut [f32],
    statistics: &[Statistics],
    weight: &[f32],
    through: &[Through],
) {
    let shifts: Vec<f32> = statistics.iter().map(|s| s.shift).collect();
    let of_dy: Vec<f32> = statistics.iter().zip(weight).map(|(s, weight)| s.scale * weight).collect();
    let by_shift = statistics.iter().zip(through).map(|(s, through)| s.by_shift(*through));
    let (of_x, constants): (Vec<f32>, Vec<f32>) = by_shift.map(|[of_x, constant]| (of_x, constant)).unzip();
    let width = statistics.len();
    let samples = dx.par_chunks_mut(width).zip(x.par_chunks(width)).zip(dy.par_chunks(width));
    samples.with_min_len(TASK.div_ceil(width)).for_each(|((dx, x), dy)| {
        let columns = shifts.iter().zip(&of_dy).zip(&of_x).zip(&constants);
        for (((dx, x), dy), (((shift, of_dy), of_x), constant)) in dx.iter_mut().zip(x).zip(dy).zip(columns) {
            *dx = of_dy * dy + (of_x * (x - shift) + constant);
        }
    });
}
