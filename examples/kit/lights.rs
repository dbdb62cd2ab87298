//! The batch that is used without photos: one landscape under four lights.

use image::{Rgb, Rgb32FImage};

use crate::landscape::{self, Colour};

/// Name, and contrast and brightness of R, G and B. Each light changes a channel by `contrast·value + brightness` and
/// never clips, so a norm that takes statistics per picture and channel undoes it.
const LIGHTS: [(&str, Colour, Colour); 4] = [
    ("noon", [0.92, 0.92, 0.92], [0.06, 0.06, 0.06]),
    ("fog", [0.32, 0.32, 0.32], [0.56, 0.57, 0.59]),
    ("sunset", [0.82, 0.50, 0.32], [0.16, 0.06, 0.04]),
    ("night", [0.14, 0.20, 0.34], [0.01, 0.03, 0.07]),
];

/// The landscape under each light.
pub fn lights(size: u32) -> Vec<(String, Rgb32FImage)> {
    LIGHTS
        .iter()
        .map(|&(name, contrast, brightness)| {
            let mut image = landscape::draw(size, landscape::colour);
            for Rgb(pixel) in image.pixels_mut() {
                *pixel = std::array::from_fn(|c| contrast[c] * pixel[c] + brightness[c]);
            }
            (name.to_owned(), image)
        })
        .collect()
}
