//! Lines, boxes and text on an image.

use image::{Rgb, RgbImage};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

pub const INK: Rgb<u8> = Rgb([32, 34, 40]);
pub const PAPER: Rgb<u8> = Rgb([250, 250, 248]);
/// Of what is said by the way.
pub const QUIET: Rgb<u8> = Rgb([104, 107, 115]);

/// Size and weight of a text.
#[derive(Clone, Copy)]
pub struct Font(pub RasterHeight, pub FontWeight);

pub const SMALL: Font = Font(RasterHeight::Size16, FontWeight::Regular);
pub const TITLE: Font = Font(RasterHeight::Size20, FontWeight::Bold);

impl Font {
    fn advance(self) -> u32 {
        get_raster_width(self.1, self.0) as u32
    }

    /// How many letters fit.
    pub fn letters(self, width: u32) -> usize {
        (width / self.advance()) as usize
    }

    /// In pixels.
    pub fn width(self, text: &str) -> u32 {
        self.advance() * text.chars().count() as u32
    }
}

/// `share` of `colour` over what is there; nothing outside the image.
pub fn blend(image: &mut RgbImage, x: u32, y: u32, colour: Rgb<u8>, share: f32) {
    if let Some(pixel) = image.get_pixel_mut_checked(x, y) {
        for (old, new) in pixel.0.iter_mut().zip(colour.0) {
            *old = (f32::from(*old) + share * (f32::from(new) - f32::from(*old))).round() as u8;
        }
    }
}

pub fn rectangle(image: &mut RgbImage, x: u32, y: u32, width: u32, height: u32, colour: Rgb<u8>, share: f32) {
    for row in y..y + height {
        for column in x..x + width {
            blend(image, column, row, colour, share);
        }
    }
}

/// From left to right, its top left at `x`, `y`.
pub fn text(image: &mut RgbImage, x: u32, y: u32, text: &str, font: Font, colour: Rgb<u8>) {
    letters(text, font, |along, down, share| blend(image, x + along, y + down, colour, share));
}

/// From bottom to top, centred on `middle`, its left at `x`.
pub fn upwards(image: &mut RgbImage, x: u32, middle: u32, text: &str, font: Font, colour: Rgb<u8>) {
    let bottom = middle + font.width(text) / 2;
    letters(text, font, |along, down, share| blend(image, x + down, bottom - along, colour, share));
}

/// The font has no letters beyond ASCII.
fn letters(text: &str, font: Font, mut dot: impl FnMut(u32, u32, f32)) {
    let Font(height, weight) = font;
    for (index, letter) in text.chars().enumerate() {
        let Some(letter) = get_raster(letter, weight, height).or_else(|| get_raster('?', weight, height)) else {
            continue;
        };
        for (down, row) in letter.rows().enumerate() {
            for (along, &share) in row.iter().enumerate() {
                dot(index as u32 * font.advance() + along as u32, down as u32, f32::from(share) / 255.0);
            }
        }
    }
}
