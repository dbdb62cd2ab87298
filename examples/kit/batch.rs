//! Pictures as what norms take.

use image::Rgb32FImage;
use ndarray::{Array4, arr1, s};

/// R, G, B and luminance: with R, G and B alone, groups of channels could only be LayerNorm or InstanceNorm again.
pub const CHANNELS: usize = 4;

/// `[N, 4, H, W]` from 0 to 1: R, G, B and their luminance (Rec. 709) of pictures of one size.
pub fn batch<'a>(pictures: impl ExactSizeIterator<Item = &'a Rgb32FImage>, size: u32) -> Array4<f32> {
    let mut batch = Array4::zeros((pictures.len(), CHANNELS, size as usize, size as usize));
    for (picture, mut planes) in pictures.zip(batch.outer_iter_mut()) {
        for (x, y, pixel) in picture.enumerate_pixels() {
            let [r, g, b] = pixel.0;
            let values = [r, g, b, 0.2126 * r + 0.7152 * g + 0.0722 * b];
            planes.slice_mut(s![.., y as usize, x as usize]).assign(&arr1(&values));
        }
    }
    batch
}
