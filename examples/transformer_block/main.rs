//! A small transformer whose residual stream stays on the GPU: `cargo run --release --example transformer_block` trains it to
//! write sentences of a tiny English, letter by letter. Each RMS norm adds what the branch before it found to the stream, keeps
//! the sum and normalizes it in one call; attention and MLPs are ndarray's, on the CPU. See `HELP`.

mod attention;
mod check;
mod grammar;
mod layers;
mod model;
mod norm;

use std::error::Error;
use std::process::ExitCode;

use example_kit::arguments::{Arguments, exit};
use example_kit::plot::{self, Line};
use example_kit::random::Random;
use gpunorm::Gpu;
use indicatif::{ProgressBar, ProgressStyle};

use grammar::{LENGTH, TOKENS};
use model::Model;

const HELP: &str = "\
usage: transformer_block [--steps N] [--rate R] [--write N] [--out FILE] [--check]

Trains a pre-norm transformer of two blocks on sentences of a tiny grammar. Norms and the residual stream are on the GPU.

--steps N    steps of 32 sentences, 500 by default
--rate R     the learning rate, 0.008 by default; it falls to 0
--write N    sentences that it writes at the end, 100 by default
--out FILE   the SVG of the losses, target/transformer_block.svg by default
--check      no training: gradients beside differences of losses";

const BATCH: usize = 32;
const TESTED: usize = 100;

fn main() -> ExitCode {
    exit("transformer_block", Arguments::new(HELP).map_or(Ok(()), run))
}

fn run(mut args: Arguments) -> Result<(), Box<dyn Error>> {
    let steps = args.number("--steps", |&steps: &usize| steps > 0)?.unwrap_or(500);
    let rate = args.number("--rate", |rate: &f32| *rate > 0.0 && rate.is_finite())?.unwrap_or(0.008);
    let count = args.number("--write", |&count: &usize| count > 0)?.unwrap_or(100);
    let out = args.path("--out")?.unwrap_or("target/transformer_block.svg".into());
    let check = args.flag("--check");
    args.end()?;
    let gpu = Gpu::new()?;
    let mut model = Model::new(&gpu, TOKENS, LENGTH)?;
    let mut random = Random::new(2);
    if check {
        return check::check(&mut model, &grammar::batch(&mut random, 4).0);
    }
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }

    println!("{}, {steps} steps of {BATCH} sentences\n", gpu.adapter_info().name);
    let lines = train(&mut model, &mut random, steps, rate)?;
    let (tested, floor) = grammar::batch(&mut Random::new(3), TESTED);
    let loss = model.loss(&tested)?;
    println!("\nnew sentences: {loss:.3} nats per letter, where who knows the grammar has {floor:.3}");
    let written = grammar::write(&mut random, count, |tokens, places| model.forward(tokens, places))?;
    let right = written.iter().filter(|text| grammar::is_sentence(text)).count();
    println!("of {count} sentences that it wrote, {right} are of the grammar");
    plot::losses(&out, "A pre-norm transformer learns a tiny English, letter by letter", 3.5, &lines)?;
    println!("wrote {}", out.display());
    Ok(())
}

/// The losses of each step, the model's and those of who knows the grammar.
fn train(model: &mut Model, random: &mut Random, steps: usize, rate: f32) -> Result<[Line; 2], Box<dyn Error>> {
    println!("{:>5} {:>6}  what it writes", "step", "loss");
    let bar = ProgressBar::new(steps as u64);
    bar.set_style(ProgressStyle::with_template("loss {msg} {wide_bar} {pos}/{len} steps, {eta} left")?);
    let mut lines = ["transformer", "who knows the grammar"].map(|name| Line { name: name.to_owned(), values: vec![] });
    for step in 0..steps {
        let (batch, floor) = grammar::batch(random, BATCH);
        let loss = model.learn(&batch)?;
        let rate = rate * (1.0 - step as f32 / steps as f32);
        model.parameters().into_iter().for_each(|(_, parameter)| parameter.step(rate, step as i32 + 1));
        lines.iter_mut().zip([loss, floor]).for_each(|(line, value)| line.values.push(value));
        bar.set_message(format!("{loss:.3}"));
        bar.inc(1);
        if (step + 1) % steps.div_ceil(8) == 0 || step + 1 == steps {
            let text = grammar::write(random, 1, |tokens, places| model.forward(tokens, places))?.remove(0);
            bar.suspend(|| println!("{:>5} {loss:>6.3}  {text}", step + 1));
        }
    }
    bar.finish_and_clear();
    Ok(lines)
}
