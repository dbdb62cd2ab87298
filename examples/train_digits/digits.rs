//! A generated set of ten classes: printed digits of two weights and two sizes, anywhere in the picture, on uneven ground
//! and in uneven light, in raw bytes.

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

/// A small generator, the same everywhere (Steele, Lea & Flood 2014, SplitMix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }

    fn below(&mut self, n: usize) -> usize {
        (self.uniform() * n as f32) as usize
    }
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
