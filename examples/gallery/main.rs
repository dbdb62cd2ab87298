//! What each norm does to the same batch of pictures: `cargo run --release --example gallery -- a.jpg b.png`.
//!
//! Without pictures it takes one landscape under four lights. See `HELP`.

mod picture;

use std::process::ExitCode;

use example_kit::arguments::{Arguments, exit};
use example_kit::batch::{CHANNELS, batch};
use example_kit::lights::lights;
use example_kit::photo::{load, save, stem};
use gpunorm::{BatchNorm, Gpu, GpuNorm, GroupNorm, InstanceNorm, LayerNorm, NormSpec, SwitchableNorm};
use image::Rgb32FImage;

use picture::Column;

const HELP: &str = "\
usage: gallery [--out FILE] [PHOTO...]

Draws what BatchNorm, LayerNorm, InstanceNorm, GroupNorm and SwitchableNorm make of the same pictures.

PHOTO...     PNG or JPEG files, one row each; without any, one generated landscape under four lights
--out FILE   the PNG to write, target/gallery.png by default";

/// Width and height of every picture in the batch.
const SIZE: u32 = 192;
const GROUPS: usize = 2;

fn main() -> ExitCode {
    exit("gallery", Arguments::new(HELP).map_or(Ok(()), run))
}

fn run(mut args: Arguments) -> Result<(), String> {
    let out = args.path("--out")?.unwrap_or("target/gallery.png".into());
    let photos = args.paths()?;
    let rows: Vec<(String, Rgb32FImage)> = if photos.is_empty() {
        lights(SIZE)
    } else {
        photos.iter().map(|path| Ok((stem(path), load(path, SIZE)?))).collect::<Result<_, String>>()?
    };

    let gpu = Gpu::new().map_err(|error| error.to_string())?;
    let input = batch(rows.iter().map(|(_, picture)| picture), SIZE);
    let mut columns = vec![Column::input(input.clone())];
    for (title, shared, spec) in norms() {
        let norm = GpuNorm::new(&gpu, spec).map_err(|error| error.to_string())?;
        let output = norm.forward(&input).map_err(|error| error.to_string())?;
        columns.push(Column::normalized(title, shared, output));
    }
    let names: Vec<&str> = rows.iter().map(|(name, _)| name.as_str()).collect();
    let grid = picture::draw(&names, &columns);
    save(&grid, &out)?;

    let info = gpu.adapter_info();
    let (width, height) = grid.dimensions();
    println!("wrote {}, {width} x {height} pixels, normalized on {} ({:?})\n", out.display(), info.name, info.backend);
    println!("What to look for, and which values share one mean and one variance:");
    println!(
        "  BatchNorm       a channel of the whole batch: light, contrast and colour stay as different as they were"
    );
    println!("  LayerNorm       a picture: light and contrast become equal, the colour cast stays");
    println!("  InstanceNorm    a channel of a picture: the colour cast goes as well");
    println!("  GroupNorm       a picture's R and G, and its B and luminance: only the cast between R and G stays");
    println!("  SwitchableNorm  mixes IN, LN and BN by learned shares, which start at a third each: something of all");
    if rows.len() == 1 {
        println!("With a single picture BatchNorm is InstanceNorm; give it more.");
    }
    Ok(())
}

/// Title, whose statistics, layer.
fn norms() -> [(&'static str, &'static str, NormSpec); 5] {
    let size = SIZE as usize;
    [
        ("BatchNorm", "per channel, whole batch", BatchNorm::new(CHANNELS).into()),
        ("LayerNorm", "per picture", LayerNorm::new([CHANNELS, size, size]).into()),
        ("InstanceNorm", "per picture and channel", InstanceNorm::new(CHANNELS).into()),
        ("GroupNorm", "per picture, {R,G} {B,Y}", GroupNorm::new(GROUPS, CHANNELS).into()),
        ("SwitchableNorm", "a third each: IN, LN, BN", SwitchableNorm::new(CHANNELS).into()),
    ]
}
