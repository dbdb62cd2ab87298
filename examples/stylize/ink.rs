//! A drawing of a picture's edges, by a stage as diffusion U-Nets have it: group norm and silu.

use std::f32::consts::TAU;

use gpunorm::{Activation, Gpu, GpuNorm, GroupNorm, Result};
use ndarray::{Array2, Array3, ArrayView3, Axis, stack};

/// Widths of the brush in pixels; edges of each are a group, so that faint broad ones count as much as sharp ones.
const SCALES: [f32; 2] = [0.7, 1.5];
const DIRECTIONS: usize = 8;
/// What an edge must exceed, in standard deviations of its group, and how fast it fills then.
const LEAST: f32 = 0.5;
const GAIN: f32 = 1.5;

/// How dark each pixel of `picture` `[3, H, W]` becomes, from 0 to 1, `[H, W]`.
pub fn ink(gpu: &Gpu, picture: ArrayView3<f32>) -> Result<Array2<f32>> {
    let channels = SCALES.len() * DIRECTIONS;
    let norm = GpuNorm::new(gpu, GroupNorm::new(SCALES.len(), channels).activation(Activation::Silu))?;
    for (parameter, value) in [(norm.weight(), GAIN), (norm.bias(), -GAIN * LEAST)] {
        parameter.expect("group norm has them by default").write(&vec![value; channels])?;
    }
    let edges = norm.forward(&edges(picture).insert_axis(Axis(0)))?;
    Ok(edges.index_axis(Axis(0), 0).sum_axis(Axis(0)).mapv(|sum| (0.06 * sum).clamp(0.0, 1.0)))
}

/// How fast the luminance (Rec. 709) grows in each direction, at each scale: `[scales·directions, H, W]`.
fn edges(picture: ArrayView3<f32>) -> Array3<f32> {
    let light = 0.2126 * &picture.index_axis(Axis(0), 0)
        + 0.7152 * &picture.index_axis(Axis(0), 1)
        + 0.0722 * &picture.index_axis(Axis(0), 2);
    let slopes = SCALES.map(|scale| {
        let smooth = |x: f32| (-0.5 * (x / scale).powi(2)).exp();
        let slope = |x: f32| x * smooth(x);
        let along = |kernel: &dyn Fn(f32) -> f32, of: &Array2<f32>| convolve(of, scale, kernel);
        // The same along the other axis.
        let down = |kernel: &dyn Fn(f32) -> f32, of: &Array2<f32>| along(kernel, &of.t().to_owned()).t().to_owned();
        [down(&smooth, &along(&slope, &light)), along(&smooth, &down(&slope, &light))]
    });
    let all: Vec<Array2<f32>> = slopes
        .iter()
        .flat_map(|[across, down]| {
            (0..DIRECTIONS).map(move |direction| {
                let (sin, cos) = (TAU * direction as f32 / DIRECTIONS as f32).sin_cos();
                cos * across + sin * down
            })
        })
        .collect();
    stack(Axis(0), &all.iter().map(|plane| plane.view()).collect::<Vec<_>>()).expect("planes of one size")
}

/// Each row with a kernel of three times `scale` to both sides; what lies outside is as the edge.
fn convolve(x: &Array2<f32>, scale: f32, kernel: &dyn Fn(f32) -> f32) -> Array2<f32> {
    let reach = (3.0 * scale).ceil() as isize;
    let last = x.ncols() as isize - 1;
    Array2::from_shape_fn(x.dim(), |(row, column)| {
        let at = |step: isize| x[[row, (column as isize + step).clamp(0, last) as usize]];
        (-reach..=reach).map(|step| kernel(step as f32) * at(step)).sum()
    })
}
