//! The grid: a row per picture, a column per norm, and under each panel what is in it.

use example_kit::canvas::{INK, PAPER, QUIET, SMALL, TITLE, rectangle, text, upwards};
use example_kit::scale::{BINS, RANGE, Scale, moments};
use image::imageops::replace;
use image::{Rgb, RgbImage};
use ndarray::{Array4, ArrayView3, Axis};

/// R, G, B and luminance in the histograms.
const CHANNELS: [Rgb<u8>; 4] = [Rgb([214, 40, 40]), Rgb([34, 150, 60]), Rgb([40, 90, 220]), Rgb([110, 110, 116])];

const LEFT: u32 = 44;
const TOP: u32 = 72;
const MARGIN: u32 = 20;
const GAP: u32 = 16;
const HISTOGRAM: u32 = 56;
/// The strip that shows which value has which grey.
const SCALE: u32 = 6;
const LINE: u32 = 18;

pub struct Column {
    title: &'static str,
    subtitle: &'static str,
    /// `[N, 4, H, W]`
    values: Array4<f32>,
    scale: Scale,
}

impl Column {
    pub fn input(values: Array4<f32>) -> Column {
        Column { title: "input", subtitle: "R, G, B from 0 to 1", values, scale: Scale::INPUT }
    }

    pub fn normalized(title: &'static str, subtitle: &'static str, values: Array4<f32>) -> Column {
        Column { title, subtitle, values, scale: Scale::NORMALIZED }
    }
}

/// One row per name; the columns' arrays have as many pictures.
pub fn draw(names: &[&str], columns: &[Column]) -> RgbImage {
    let size = columns[0].values.len_of(Axis(3)) as u32;
    let caption = [
        "Each norm sees R, G, B and a fourth channel, the luminance Y (grey in the histograms). Under its name: what it takes a mean and a variance of.".to_owned(),
        format!("All normalized panels are drawn alike: black is {:.1} or less, mid-grey is 0, white is {RANGE:.1} or more.", -RANGE),
    ];
    let row_height = size + HISTOGRAM + SCALE + 2 * LINE + 2 * GAP;
    let width = LEFT + columns.len() as u32 * (size + GAP) - GAP + MARGIN;
    let height = TOP + names.len() as u32 * row_height + caption.len() as u32 * (LINE + 2) + MARGIN;
    let mut image = RgbImage::from_pixel(width, height, PAPER);

    for (column, x) in columns.iter().zip((LEFT..).step_by((size + GAP) as usize)) {
        text(&mut image, x, MARGIN, column.title, TITLE, INK);
        text(&mut image, x, MARGIN + 24, column.subtitle, SMALL, QUIET);
        for ((name, planes), y) in
            names.iter().zip(column.values.outer_iter()).zip((TOP..).step_by(row_height as usize))
        {
            if x == LEFT {
                let short: String = name.chars().take(TITLE.letters(size)).collect();
                upwards(&mut image, MARGIN - 6, y + size / 2, &short, TITLE, INK);
            }
            replace(&mut image, &column.scale.picture(planes), i64::from(x), i64::from(y));
            histogram(&mut image, x, y + size + 4, size, &column.scale, planes);
            let below = y + size + 4 + HISTOGRAM + SCALE + 2;
            ticks(&mut image, x, below, size, &column.scale);
            let (mean, deviation) = moments(planes);
            let words = format!("mean {mean:.2}  std {deviation:.2}");
            let right = size.saturating_sub(SMALL.width(&words)) / 2;
            text(&mut image, x + right, below + LINE, &words, SMALL, INK);
        }
    }
    let mut y = TOP + names.len() as u32 * row_height;
    for line in caption {
        text(&mut image, LEFT, y, &line, SMALL, QUIET);
        y += LINE + 2;
    }
    image
}

fn histogram(image: &mut RgbImage, x: u32, y: u32, width: u32, scale: &Scale, planes: ArrayView3<f32>) {
    rectangle(image, x, y, width, HISTOGRAM, Rgb([255, 255, 255]), 1.0);
    let bin = |across: u32| (across * BINS as u32 / width) as usize;
    for (levels, colour) in scale.histograms(planes).iter().zip(CHANNELS) {
        let level = |across: u32| (levels[bin(across)] * (HISTOGRAM - 2) as f32).round() as u32;
        for across in 0..width {
            let (height, before) = (level(across), level(across.saturating_sub(1)));
            rectangle(image, x + across, y + HISTOGRAM - height, 1, height, colour, 0.16);
            // The outline: at steps as long as the step.
            let (low, high) = (height.min(before), height.max(before));
            rectangle(image, x + across, y + HISTOGRAM - high.max(1), 1, (high - low).max(1), colour, 0.9);
        }
    }
    for across in 0..width {
        let grey = (255 * across / (width - 1)) as u8;
        rectangle(image, x + across, y + HISTOGRAM, 1, SCALE, Rgb([grey; 3]), 1.0);
    }
    let zero = (scale.place(0.0) * (width - 1) as f32).round() as u32;
    rectangle(image, x + zero, y, 1, HISTOGRAM, INK, 0.6);
}

fn ticks(image: &mut RgbImage, x: u32, y: u32, width: u32, scale: &Scale) {
    for &value in scale.ticks {
        let label = format!("{value}");
        let wide = SMALL.width(&label);
        let centre = (scale.place(value) * (width - 1) as f32) as u32;
        let left = centre.saturating_sub(wide / 2).min(width - wide);
        text(image, x + left, y, &label, SMALL, QUIET);
    }
}
