//! Inputs whose planes interleave: here they are taken apart before, and put together again after.

use gpunorm::unstable::Geometry;
use rayon::prelude::*;

/// The same layer's, of planes one after the other.
pub fn apart_geometry(geometry: &Geometry) -> Geometry {
    let mut apart = *geometry;
    apart.interleaved = 1;
    apart
}

/// The values plane after plane.
pub fn apart(geometry: &Geometry, values: &[f32]) -> Vec<f32> {
    let mut planes = vec![0.0; values.len()];
    exchange(values, &mut planes, geometry.interleaved, geometry.spatial);
    planes
}

/// The values of planes, interleaved again.
pub fn together(geometry: &Geometry, planes: &[f32], values: &mut [f32]) {
    exchange(planes, values, geometry.spatial, geometry.interleaved);
}

/// From lines of `columns` to `columns` lines, sample by sample.
fn exchange(from: &[f32], to: &mut [f32], columns: usize, lines: usize) {
    let sample = columns * lines;
    to.par_chunks_mut(sample).zip(from.par_chunks(sample)).for_each(|(to, from)| {
        for (column, to) in to.chunks_mut(lines).enumerate() {
            to.iter_mut().zip(from[column..].iter().step_by(columns)).for_each(|(to, from)| *to = *from);
        }
    });
}
