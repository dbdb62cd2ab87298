//! A generated landscape, for whoever has no photo at hand.

use image::{Rgb, Rgb32FImage};

/// R, G and B from 0 to 1.
pub type Colour = [f32; 3];

/// What has this colour at `x` from the left and `y` from the top, both from 0 to 1. A pixel is the mean of 3 x 3 points, so that
/// edges are smooth.
pub fn draw(size: u32, colour: impl Fn(f32, f32) -> Colour) -> Rgb32FImage {
    Rgb32FImage::from_fn(size, size, |x, y| {
        let mut sum = [0.0; 3];
        for point in 0..9 {
            let at = |pixel: u32, step: u32| (pixel as f32 + (step as f32 + 0.5) / 3.0) / size as f32;
            let colour = colour(at(x, point % 3), at(y, point / 3));
            sum = std::array::from_fn(|c| sum[c] + colour[c] / 9.0);
        }
        Rgb(sum)
    })
}

/// Hills, a house and the sun.
pub fn colour(x: f32, y: f32) -> Colour {
    if let Some(colour) = house(x, y) {
        return colour;
    }
    // Nearest first: height of the ridge and colour.
    let ridges: [(f32, Colour); 3] = [
        (0.80 + 0.05 * (4.0 * x + 0.6).sin() + 0.004 * (61.0 * x).sin(), [0.16, 0.42, 0.12]),
        (0.66 + 0.06 * (5.5 * x + 2.6).sin() + 0.006 * (43.0 * x).sin(), [0.38, 0.58, 0.22]),
        (0.50 + 0.10 * (7.0 * x + 4.4).sin() + 0.03 * (17.0 * x).sin(), [0.42, 0.44, 0.60]),
    ];
    for (ridge, colour) in ridges {
        if y > ridge {
            // Darker towards the foot.
            return colour.map(|value| value * (1.15 - 1.2 * (y - ridge)).max(0.55));
        }
    }
    let sky = mix([0.22, 0.48, 0.90], [0.80, 0.88, 0.94], (y / 0.6).min(1.0));
    let distance = ((x - 0.74).powi(2) + (y - 0.2).powi(2)).sqrt();
    if distance < 0.085 {
        return [1.0, 0.95, 0.62];
    }
    mix([1.0, 0.95, 0.75], sky, ((distance - 0.085) / 0.16).clamp(0.0, 1.0).sqrt())
}

/// White walls, a red roof, a dark door.
fn house(x: f32, y: f32) -> Option<Colour> {
    let (left, right, ridge, eaves, ground) = (0.16, 0.40, 0.56, 0.68, 0.84);
    let middle = (left + right) / 2.0;
    let roof = (y - ridge) / (eaves - ridge) * (0.03 + (right - left) / 2.0);
    if (ridge..eaves).contains(&y) && (x - middle).abs() < roof {
        return Some([0.86, 0.20, 0.13]);
    }
    if !(eaves..ground).contains(&y) || !(left..right).contains(&x) {
        return None;
    }
    let door = (0.30..0.355).contains(&x) && y > 0.74;
    let window = (0.20..0.26).contains(&x) && (0.725..0.78).contains(&y);
    Some(if door {
        [0.22, 0.12, 0.08]
    } else if window {
        [0.15, 0.22, 0.34]
    } else {
        [0.96, 0.93, 0.87]
    })
}

/// `share` of the way from one to the other.
pub fn mix(from: Colour, to: Colour, share: f32) -> Colour {
    std::array::from_fn(|c| from[c] + share * (to[c] - from[c]))
}
