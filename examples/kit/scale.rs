//! Values as greys, and how many there are of each.

use image::{Rgb, RgbImage};
use ndarray::{ArrayView2, ArrayView3};

/// Normalized values from -RANGE to RANGE are shown as black to white.
pub const RANGE: f32 = 2.5;
pub const BINS: usize = 64;

/// The values that are black and white, and those that are written below a histogram.
pub struct Scale {
    range: (f32, f32),
    pub ticks: &'static [f32],
}

impl Scale {
    /// Of pictures.
    pub const INPUT: Scale = Scale { range: (0.0, 1.0), ticks: &[0.0, 1.0] };
    /// Of what a norm makes of them.
    pub const NORMALIZED: Scale = Scale { range: (-RANGE, RANGE), ticks: &[-2.0, 0.0, 2.0] };

    /// Where a value lies from black, 0, to white, 1; what is beyond stays at the end.
    pub fn place(&self, value: f32) -> f32 {
        ((value - self.range.0) / (self.range.1 - self.range.0)).clamp(0.0, 1.0)
    }

    /// R, G and B of `[channels, H, W]`.
    pub fn picture(&self, planes: ArrayView3<f32>) -> RgbImage {
        let (_, height, width) = planes.dim();
        RgbImage::from_fn(width as u32, height as u32, |x, y| {
            Rgb([0, 1, 2].map(|c| (255.0 * self.place(planes[[c, y as usize, x as usize]])).round() as u8))
        })
    }

    /// A histogram of each channel, the highest bin of all being 1. Square roots, so that a flat sky does not hide the rest.
    pub fn histograms(&self, planes: ArrayView3<f32>) -> Vec<[f32; BINS]> {
        let counts: Vec<[f32; BINS]> = planes.outer_iter().map(|plane| self.bins(plane)).collect();
        let most = counts.iter().flatten().fold(1.0, |most: f32, &count| most.max(count));
        counts.into_iter().map(|counts| counts.map(|count| (count / most).sqrt())).collect()
    }

    /// How many values lie in each bin, smoothed a little: 1/4, 1/2, 1/4.
    fn bins(&self, plane: ArrayView2<f32>) -> [f32; BINS] {
        let mut counts = [0.0; BINS];
        for &value in plane {
            counts[((self.place(value) * BINS as f32) as usize).min(BINS - 1)] += 1.0;
        }
        let near = |bin: usize| (counts[bin.saturating_sub(1)] + counts[(bin + 1).min(BINS - 1)]) / 4.0;
        std::array::from_fn(|bin| counts[bin] / 2.0 + near(bin))
    }
}

/// Mean and standard deviation of all channels.
pub fn moments(planes: ArrayView3<f32>) -> (f64, f64) {
    let count = planes.len() as f64;
    let mean = planes.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let variance = planes.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    // Without a sign on a zero.
    ((100.0 * mean).round() / 100.0 + 0.0, variance.sqrt())
}
