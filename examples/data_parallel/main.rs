//! Why processes synchronize their batch norms: `mpirun -n 4 data_parallel` trains the network of `train_digits` on a few pictures per
//! process, with statistics of each process's own pictures and with those of all, and in one process with the whole batch. See `HELP`.

#[path = "../train_digits/digits.rs"]
mod digits;
#[path = "../train_digits/network.rs"]
#[allow(dead_code, reason = "it trains other norms there, and shows what they do")]
mod network;

use std::error::Error;
use std::time::Duration;

use example_kit::arguments::Arguments;
use example_kit::plot::{self, Chart, Line};
use example_kit::random::Random;
use gpunorm::mpi::collective::SystemOperation;
use gpunorm::mpi::traits::CommunicatorCollectives;
use gpunorm::mpi::{self, Threading};
use gpunorm::{BatchNorm, Gpu, ProcessGroup, Tensor, or_abort};
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::{ArrayD, s};

use digits::Batch;
use network::{CHANNELS, Network};

const HELP: &str = "\
usage: mpirun -n PROCESSES data_parallel [--steps N] [--rate R] [--pictures N] [--out FILE]

Trains a small network on printed digits in raw bytes, whose batches are spread over the processes: with a batch norm that
takes its statistics of all of them, and with one that only sees its own process's pictures. And in one process, with the
whole batch. Gradients are averaged over the processes in each step.

--steps N      steps, 400 by default
--rate R       the learning rate, 0.03 by default
--pictures N   pictures of each process in each step, 4 by default
--out FILE     where the losses are drawn, target/data_parallel/loss.svg by default";

const TESTED: usize = 1000;
/// Steps that a point of a curve is the mean of.
const SMOOTHED: usize = 40;
/// A step at which roundings have not grown yet, as they do in any training.
const SAME: usize = 20;
/// Longer than any process has another one wait.
const TIMEOUT: Duration = Duration::from_secs(600);

/// How the batch norms take their statistics.
#[derive(Clone, Copy, PartialEq)]
enum Statistics {
    OneProcess,
    Synchronized,
    Own,
}

fn main() {
    let Some(arguments) = Arguments::new(HELP) else { return };
    let (universe, _) = mpi::initialize_with_threading(Threading::Funneled).expect("MPI starts once");
    let world = universe.world();
    // Whoever fails ends all: the others would wait.
    or_abort(&world, run(arguments, &world));
}

fn run(mut arguments: Arguments, world: &impl CommunicatorCollectives) -> Result<(), Box<dyn Error>> {
    let steps = arguments.number("--steps", |&steps| steps > 0)?.unwrap_or(400);
    let rate = arguments.number("--rate", |rate: &f32| *rate > 0.0 && rate.is_finite())?.unwrap_or(0.03);
    let pictures = arguments.number("--pictures", |&pictures| pictures > 0)?.unwrap_or(4);
    let out = arguments.path("--out")?.unwrap_or("target/data_parallel/loss.svg".into());
    arguments.end()?;

    let gpu = Gpu::new()?;
    let group = ProcessGroup::mpi(world, TIMEOUT)?;
    let (rank, size) = (group.rank(), group.size());
    let runs = [
        (format!("one process, {} pictures", size * pictures), Statistics::OneProcess),
        (format!("{size} of {pictures}, synchronized"), Statistics::Synchronized),
        (format!("{size} of {pictures}, each its own"), Statistics::Own),
    ];
    let bar = if rank == 0 { ProgressBar::new((runs.len() * steps) as u64) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{msg:<26} {wide_bar} {pos}/{len} steps, {eta} left")?);
    if rank == 0 {
        println!("{size} processes on {}, {steps} steps, learning rate {rate}", gpu.adapter_info().name);
        println!("\n{:<26} {:>10} {:>10} {:>10} {:>10}", "batch norm", "first loss", "last loss", "accuracy", "apart");
    }

    let tested = digits::batch(&mut Random::new(2), TESTED);
    let (mut curves, mut distances) = (vec![], vec![]);
    // Of the first norm, after each step in one process.
    let mut variances: Vec<ArrayD<f32>> = vec![];
    for (name, statistics) in runs {
        bar.set_message(name.clone());
        let alone = statistics == Statistics::OneProcess;
        let mut network = Network::new(&gpu, 1.0, Some(&BatchNorm::new(CHANNELS).into()))?;
        if statistics == Statistics::Synchronized {
            network.layers().for_each(|layer| layer.set_process_group(Some(&group)));
        }
        let average = |values: &mut [f32]| {
            if !alone {
                averaged(world, values);
            }
        };
        let mut random = Random::new(3);
        let (mut losses, mut apart) = (vec![], vec![]);
        for _ in 0..steps {
            // Every process draws the whole batch, and takes its own part.
            let whole = digits::batch(&mut random, size * pictures);
            let batch = if alone { whole } else { part(&whole, rank * pictures, pictures) };
            // What is done alone, the first process does.
            if !alone || rank == 0 {
                let mut loss = [network.train(&batch, rate, &average)?];
                average(&mut loss);
                losses.push(loss[0]);
                let variance = network.layers().find_map(|layer| layer.running_var().map(Tensor::to_array));
                let variance = variance.ok_or("the network has a norm that tracks")??;
                match variances.get(losses.len() - 1) {
                    Some(expected) if !alone => apart.push(distance(&variance, expected)),
                    _ => variances.push(variance),
                }
            }
            bar.inc(1);
        }
        network.evaluate();
        // All, as a layer that is shared is called by all.
        let accuracy = 100.0 * network.accuracy(&tested)?;
        if rank == 0 {
            let (first, last) = (losses[0], means(&losses)[losses.len() - 1]);
            let apart = apart.get(SAME).map_or(String::new(), |apart| format!("{apart:.1e}"));
            bar.suspend(|| println!("{name:<26} {first:>10.3} {last:>10.3} {accuracy:>8.1} % {apart:>10}"));
        }
        curves.push(Line { name: name.clone(), values: means(&losses) });
        distances.push(Line { name, values: apart });
    }
    bar.finish_and_clear();
    if rank == 0 {
        if let Some(folder) = out.parent() {
            std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let title = &format!("{size} processes, {pictures} pictures each: loss");
        let chart = |title, what, most, lines| Chart { title, what, most, lines };
        let charts = [
            chart(title, "cross-entropy, mean of 40 steps", 3.0, &curves),
            chart("running variance, from one process's", "relative distance", 1.0, &distances),
        ];
        plot::save(&out, &charts)?;
        println!(
            "\nlosses are means over the batch, the last ones over {SMOOTHED} steps; accuracy is on {TESTED} pictures that it"
        );
        println!("has not seen, by the first process's running statistics; apart is how far the first norm's running");
        println!("variance is from that in one process after {} steps, of its size\nwrote {}", SAME + 1, out.display());
    }
    Ok(())
}

/// Of the last steps up to each: a few pictures make a loss jump.
fn means(losses: &[f32]) -> Vec<f32> {
    let last = |step: usize| &losses[step.saturating_sub(SMOOTHED - 1)..=step];
    (0..losses.len()).map(|step| last(step).iter().sum::<f32>() / last(step).len() as f32).collect()
}

/// How far one is from the other, of its size; 1 where it is farther.
fn distance(found: &ArrayD<f32>, expected: &ArrayD<f32>) -> f32 {
    let norm = |array: &ArrayD<f32>| array.iter().map(|value| value * value).sum::<f32>().sqrt();
    (norm(&(found - expected)) / norm(expected)).min(1.0)
}

/// `count` of the pictures.
fn part(batch: &Batch, first: usize, count: usize) -> Batch {
    let pictures = batch.pictures.slice(s![first..first + count, .., ..]).to_owned();
    Batch { pictures, labels: batch.labels[first..first + count].to_vec() }
}

/// The mean over all processes, by MPI.
fn averaged(world: &impl CommunicatorCollectives, values: &mut [f32]) {
    let mut sums = vec![0.0f32; values.len()];
    world.all_reduce_into(&*values, &mut sums[..], SystemOperation::sum());
    values.iter_mut().zip(&sums).for_each(|(value, sum)| *value = sum / world.size() as f32);
}
