//! Pictures of printed digits, as many as one likes.

use burn::tensor::{Device, Int, Tensor, TensorData};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster};

/// Of a side.
pub const SIZE: usize = 16;

/// Random numbers, the same for a seed.
pub struct Random(pub u32);

impl Random {
    fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 24) as f32
    }

    fn below(&mut self, count: usize) -> usize {
        (self.uniform() * count as f32) as usize
    }
}

/// So many pictures `[N, 3, SIZE, SIZE]`, and their digits: of one colour on another, anywhere, in noise. Bytes, as a camera gives them.
pub fn batch(count: usize, random: &mut Random, device: &Device) -> (Tensor<4>, Tensor<1, Int>) {
    let (mut pixels, mut digits) = (vec![], vec![]);
    for _ in 0..count {
        let digit = random.below(10);
        let weight = [FontWeight::Regular, FontWeight::Bold][random.below(2)];
        let letter = char::from(b'0' + digit as u8);
        let raster = get_raster(letter, weight, RasterHeight::Size16).expect("a digit");
        let [left, up] = [SIZE - raster.width(), 4].map(|room| random.below(room + 1));
        let colours: [[f32; 2]; 3] = std::array::from_fn(|_| [random.uniform(), random.uniform()]);
        for [paper, ink] in colours {
            for row in 0..SIZE {
                for column in 0..SIZE {
                    let inked = raster.pixel(column.wrapping_sub(left), (row + 2).wrapping_sub(up));
                    let inked = f32::from(inked.unwrap_or(0)) / 255.0;
                    let noise = random.uniform() - 0.5;
                    pixels.push((paper + (ink - paper) * inked + 0.1 * noise) * 255.0);
                }
            }
        }
        digits.push(digit as i64);
    }
    let images = TensorData::new(pixels, [count, 3, SIZE, SIZE]);
    (Tensor::from_data(images, device), Tensor::from_data(TensorData::new(digits, [count]), device))
}
