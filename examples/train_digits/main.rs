//! What norms are for: `cargo run --release --example train_digits` trains one small network on printed digits in raw
//! bytes, once without a norm and once with each, at a learning rate that only the normalized ones bear; and without a
//! norm on bytes that were scaled by hand, which learns, but slower. See `HELP`.

mod digits;
mod network;

use std::error::Error;
use std::process::ExitCode;

use example_kit::arguments::{Arguments, exit};
use example_kit::plot::{self, Chart, Line};
use example_kit::random::Random;
use gpunorm::{BatchNorm, Gpu, GroupNorm, InstanceNorm, LayerNorm, NormSpec, RmsNorm, SwitchableNorm};
use indicatif::{ProgressBar, ProgressStyle};

use network::{CHANNELS, Network, PLACES};

const HELP: &str = "\
usage: train_digits [--steps N] [--rate R] [--out FOLDER]

Trains a small network on printed digits in raw bytes, without a norm and with each, on the same pictures; and without a
norm on the bytes divided by 255. The norms run on the GPU, forward and backward, the linear layers on the CPU.

--steps N      steps of 64 pictures, 200 by default
--rate R       the learning rate, 0.03 by default
--out FOLDER   where loss.svg and switchable_norm.svg go, target/train_digits by default";

const BATCH: usize = 64;
const TESTED: usize = 1000;

fn main() -> ExitCode {
    exit("train_digits", Arguments::new(HELP).map_or(Ok(()), run))
}

fn run(mut args: Arguments) -> Result<(), Box<dyn Error>> {
    let steps = args.number("--steps", |&steps| steps > 0)?.unwrap_or(200);
    let rate = args.number("--rate", |rate: &f32| *rate > 0.0 && rate.is_finite())?.unwrap_or(0.03);
    let out = args.path("--out")?.unwrap_or("target/train_digits".into());
    args.end()?;
    std::fs::create_dir_all(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let gpu = Gpu::new()?;
    println!("{}, {steps} steps of {BATCH} pictures, learning rate {rate}", gpu.adapter_info().name);
    println!("\n{:<16} {:>10} {:>10} {:>10}", "norm", "first loss", "last loss", "accuracy");
    let runs: [(&str, f32, Option<NormSpec>); 8] = [
        ("none", 1.0, None),
        ("none, x / 255", 1.0 / 255.0, None),
        ("BatchNorm", 1.0, Some(BatchNorm::new(CHANNELS).into())),
        ("LayerNorm", 1.0, Some(LayerNorm::new([CHANNELS, PLACES]).into())),
        ("GroupNorm", 1.0, Some(GroupNorm::new(4, CHANNELS).into())),
        ("InstanceNorm", 1.0, Some(InstanceNorm::new(CHANNELS).affine(true).into())),
        ("SwitchableNorm", 1.0, Some(SwitchableNorm::new(CHANNELS).into())),
        ("RmsNorm", 1.0, Some(RmsNorm::new([CHANNELS, PLACES]).into())),
    ];
    let bar = ProgressBar::new((runs.len() * steps) as u64);
    bar.set_style(ProgressStyle::with_template("{msg:<16} {wide_bar} {pos}/{len} steps, {eta} left")?);

    let tested = digits::batch(&mut Random::new(2), TESTED);
    let mut curves = vec![];
    let mut shares: Vec<Line> = ["instance", "layer", "batch", "instance", "layer", "batch"]
        .map(|name| Line { name: name.to_owned(), values: vec![] })
        .into();
    for (name, scale, norm) in runs {
        bar.set_message(name);
        let mut network = Network::new(&gpu, scale, norm.as_ref())?;
        let mut random = Random::new(3);
        let mut losses = vec![];
        for _ in 0..steps {
            if let Some(now) = network.norm().map(|norm| norm.shares()).transpose()?.flatten() {
                shares.iter_mut().zip(now).for_each(|(line, share)| line.values.push(share));
            }
            losses.push(network.train(&digits::batch(&mut random, BATCH), rate, &|_| {})?);
            bar.inc(1);
        }
        network.evaluate();
        let accuracy = 100.0 * network.accuracy(&tested)?;
        let last = &losses[losses.len() - losses.len().min(10)..];
        let (first, last) = (losses[0], last.iter().sum::<f32>() / last.len() as f32);
        bar.suspend(|| println!("{name:<16} {first:>10.3} {last:>10.3} {accuracy:>8.1} %"));
        curves.push(Line { name: name.to_owned(), values: losses });
    }
    bar.finish_and_clear();

    let (loss, mixed) = (out.join("loss.svg"), out.join("switchable_norm.svg"));
    plot::losses(&loss, &format!("Training on printed digits at a learning rate of {rate}"), 4.0, &curves)?;
    let (means, variances) = shares.split_at(3);
    let chart = |title, lines| Chart { title, what: "share", most: 1.0, lines };
    plot::save(&mixed, &[chart("SwitchableNorm, first layer: means", means), chart("variances", variances)])?;
    println!("\nlosses are means, the last ones over 10 steps; accuracy is on {TESTED} pictures that it has not seen");
    println!("wrote {} and {}", loss.display(), mixed.display());
    Ok(())
}
