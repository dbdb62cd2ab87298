//! A content in the colours of several styles, by adaptive instance norm (Huang & Belongie 2017, arXiv:1703.06868):
//! `cargo run --release --example stylize -- content.jpg style.jpg …`. See `HELP`.

mod ink;
mod picture;
mod scenes;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use example_kit::arguments::{Arguments, exit};
use example_kit::{landscape, photo};
use gpunorm::{Gpu, GpuNorm, InstanceNorm, Tensor};
use image::Rgb32FImage;
use ndarray::{Array2, Array3, Array4, Axis};

use picture::{Column, mean, std};

const HELP: &str = "\
usage: stylize [--out FILE] [CONTENT STYLE...]

Draws CONTENT in the colours of each STYLE, and once more with its edges in ink.

CONTENT STYLE...   PNG or JPEG files; without any, generated pictures
--out FILE         the PNG to write, target/stylize.png by default";

/// Width and height of every picture.
const SIZE: u32 = 224;

fn main() -> ExitCode {
    exit("stylize", Arguments::new(HELP).map_or(Ok(()), run))
}

fn run(mut args: Arguments) -> Result<(), Box<dyn Error>> {
    let out = args.path("--out")?.unwrap_or("target/stylize.png".into());
    let photos = args.paths()?;
    let load = |path: &PathBuf| Ok((photo::stem(path), planes(&photo::load(path, SIZE)?)));
    let pictures: Vec<(String, Array3<f32>)> = match photos.len() {
        0 => scenes::ALL.map(|(name, colour)| (name.to_owned(), planes(&landscape::draw(SIZE, colour)))).into(),
        1 => return Err(format!("{} needs a style\n\n{HELP}", photos[0].display()).into()),
        _ => photos.iter().map(load).collect::<Result<_, String>>()?,
    };
    let ((name, content), styles) = pictures.split_first().ok_or("no pictures")?;

    let gpu = Gpu::new()?;
    let coloured = adain(&gpu, content, styles)?;
    let ink = ink::ink(&gpu, content.view())?;
    let drawn = |on: &Array3<f32>| on * &ink.mapv(|ink| 1.0 - 0.9 * ink);
    let paper = Array3::ones(content.dim());
    let mut columns = vec![Column { title: name.clone(), panels: vec![content.clone(), drawn(&paper)] }];
    for ((name, style), coloured) in styles.iter().zip(coloured.outer_iter()) {
        let coloured = coloured.to_owned();
        let drawn = drawn(&coloured);
        columns.push(Column { title: name.clone(), panels: vec![style.clone(), coloured, drawn] });
    }
    let table = picture::draw(WORDS, &["style", "AdaIN", "with ink"], &columns);
    photo::save(&table, &out)?;
    let (info, (width, height)) = (gpu.adapter_info(), table.dimensions());
    println!("wrote {}, {width} x {height} pixels, normalized on {} ({:?})", out.display(), info.name, info.backend);
    Ok(())
}

/// In the corner of the table.
const WORDS: &str = "\
AdaIN: the content without
its own mean and std of R, G
and B, with each style's.
  InstanceNorm, and
  scale_and_shift(std, mean)

Ink: its edges in 8
directions at 2 scales, on
equal terms; faint ones fade.
  GroupNorm with silu";

/// The content in each style's statistics: `instance_norm(content)·std + mean`, `[styles, 3, H, W]`.
fn adain(gpu: &Gpu, content: &Array3<f32>, styles: &[(String, Array3<f32>)]) -> gpunorm::Result<Array4<f32>> {
    let by_style = |of: fn(ndarray::ArrayView3<f32>) -> [f32; 3]| {
        let values: Vec<[f32; 3]> = styles.iter().map(|(_, style)| of(style.view())).collect();
        Tensor::from_array(gpu, &Array2::from(values))
    };
    let (std, mean) = (by_style(std)?, by_style(mean)?);
    let copies = ndarray::stack(Axis(0), &vec![content.view(); styles.len()]).expect("pictures of one size");
    GpuNorm::new(gpu, InstanceNorm::new(3))?.call().scale_and_shift(&std, &mean).forward(&copies)
}

/// `[3, H, W]`
fn planes(image: &Rgb32FImage) -> Array3<f32> {
    let (width, height) = image.dimensions();
    Array3::from_shape_fn((3, height as usize, width as usize), |(c, y, x)| image[(x as u32, y as u32)][c])
}
