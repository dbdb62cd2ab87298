//! A generated set of ten classes: printed digits of two weights and two sizes, anywhere in the picture, on uneven ground
//! and in uneven light, in raw bytes.

use example_kit::random::Random;
use ndarray::Array3;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster};

/// Rows and columns of a picture.
pub const SIZE: usize = 16;
pub const CLASSES: usize = 10;

/// Pictures `[N, SIZE, SIZE]` of values from 0 to 255, and which digit each shows.
pub struct Batch {
    pub pictures: Array3<f32>,
    pub labels: Vec<usize>,
}

/// The next `count` pictures.
pub fn batch(random: &mut Random, count: usize) -> Batch {
    let mut pictures = Array3::zeros((count, SIZE, SIZE));
    let labels = (0..count).map(|_| random.below(CLASSES)).collect::<Vec<_>>();
    for (mut picture, &label) in pictures.outer_iter_mut().zip(&labels) {
        let weight = [FontWeight::Regular, FontWeight::Bold][random.below(2)];
        let height = [RasterHeight::Size16, RasterHeight::Size20][random.below(2)];
        let digit = char::from(b'0' + label as u8);
        let raster = get_raster(digit, weight, height).expect("the font has digits");
        let (down, right) = (random.below(5) as isize - 2, random.below(5) as isize - 2);
        // Both are centred before they are moved.
        let top = (SIZE as isize - raster.height() as isize) / 2 + down;
        let left = (SIZE as isize - raster.width() as isize) / 2 + right;
        let (ground, contrast) = (100.0 * random.uniform(), 50.0 + 100.0 * random.uniform());
        for ((y, x), pixel) in picture.indexed_iter_mut() {
            let at = |place: usize, start: isize| usize::try_from(place as isize - start).ok();
            let ink = at(x, left).zip(at(y, top)).and_then(|(x, y)| raster.pixel(x, y)).unwrap_or(0);
            let noise = 20.0 * (random.uniform() - 0.5);
            *pixel = (ground + contrast * f32::from(ink) / 255.0 + noise).clamp(0.0, 255.0);
        }
    }
    Batch { pictures, labels }
}
