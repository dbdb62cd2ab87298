//! The table: styles above, the content on the left, and what becomes of it.

use example_kit::canvas::{INK, PAPER, QUIET, SMALL, TITLE, text, upwards};
use image::{Rgb, RgbImage};
use ndarray::{Array3, ArrayView3, Axis};

const LEFT: u32 = 44;
const TOP: u32 = 50;
const MARGIN: u32 = 20;
const GAP: u32 = 16;
const LINE: u32 = 18;

/// A title, and panels from top to bottom, R, G and B from 0 to 1 as `[3, H, W]`; what is beyond is drawn at the end.
pub struct Column {
    pub title: String,
    pub panels: Vec<Array3<f32>>,
}

/// Rows have names; columns of fewer panels stand below. `words` fill the corner.
pub fn draw(words: &str, rows: &[&str], columns: &[Column]) -> RgbImage {
    let size = columns[0].panels[0].dim().2 as u32;
    let row_height = size + 2 * LINE + GAP;
    let width = LEFT + columns.len() as u32 * (size + GAP) - GAP + MARGIN;
    let height = TOP + rows.len() as u32 * row_height - 2 * LINE;
    let mut image = RgbImage::from_pixel(width, height, PAPER);
    let row_top = |row: usize| TOP + row as u32 * row_height;
    for (row, name) in rows.iter().enumerate() {
        upwards(&mut image, MARGIN - 6, row_top(row) + size / 2, name, TITLE, INK);
    }
    for (line, y) in words.lines().zip((TOP..).step_by(LINE as usize)) {
        text(&mut image, LEFT, y, line, SMALL, QUIET);
    }
    for (Column { title, panels }, x) in columns.iter().zip((LEFT..).step_by((size + GAP) as usize)) {
        let first = rows.len() - panels.len();
        let short: String = title.chars().take(TITLE.letters(size)).collect();
        text(&mut image, x, row_top(first) - LINE - 10, &short, TITLE, INK);
        for (panel, row) in panels.iter().zip(first..) {
            let y = row_top(row);
            for ((down, across), _) in panel.index_axis(Axis(0), 0).indexed_iter() {
                let byte = |channel: usize| (255.0 * panel[[channel, down, across]].clamp(0.0, 1.0)).round() as u8;
                image.put_pixel(x + across as u32, y + down as u32, Rgb([byte(0), byte(1), byte(2)]));
            }
        }
        // What was drawn on has other statistics than its column.
        for (panel, row) in panels.iter().take(panels.len() - 1).zip(first..) {
            for (name, of, below) in [("mean", mean(panel.view()), 3), ("std ", std(panel.view()), 3 + LINE)] {
                let [r, g, b] = of;
                let words = format!("{name} {r:.2} {g:.2} {b:.2}");
                text(&mut image, x, row_top(row) + size + below, &words, SMALL, INK);
            }
        }
    }
    image
}

/// Of R, G and B.
pub fn mean(picture: ArrayView3<f32>) -> [f32; 3] {
    [0, 1, 2].map(|channel| picture.index_axis(Axis(0), channel).mean().unwrap_or(0.0))
}

/// Likewise, the biased one.
pub fn std(picture: ArrayView3<f32>) -> [f32; 3] {
    [0, 1, 2].map(|channel| picture.index_axis(Axis(0), channel).std(0.0))
}
