//! Every norm on the best GPU of this machine, forward and backward, held against the oracle: what `cargo xtask demo`
//! runs.
//!
//! `--quick` takes smaller inputs and fewer runs.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use gpunorm::{DType, Error, Gpu, GpuNorm, Tensor, reference};
use ndarray::ArrayD;
use pollster::block_on;

#[path = "shared/held.rs"]
mod held;
#[path = "shared/worst.rs"]
mod worst;
use held::{input, layers, oracle_state, output_gradient, with_random_parameters, worst_gradient, worst_output};
use worst::Worst;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let quick = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--quick"] => true,
        _ => {
            eprintln!("usage: quickstart [--quick]");
            return ExitCode::FAILURE;
        }
    };
    match run(quick) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every row is within tolerance.
fn run(quick: bool) -> Result<bool, Box<dyn std::error::Error>> {
    let gpu = Gpu::new()?;
    let info = gpu.adapter_info();
    println!("adapter  {}", info.name);
    println!("backend  {:?}", info.backend);
    println!("driver   {}\n", format!("{} {}", info.driver, info.driver_info).trim());

    let (batch, size, runs) = if quick { (2, 9, 3) } else { (8, 32, 5) };
    let mut rows = vec![];
    for (name, spec, shape) in layers(batch, size) {
        let mut norm = GpuNorm::new(&gpu, spec)?;
        let state = with_random_parameters(norm.state_dict("")?);
        norm.load_state_dict(&state, "")?;
        let x = input(&shape);

        let training = measure(&norm, &x, runs)?;
        norm.eval();
        let evaluation = measure(&norm, &x, runs)?;
        if state.get("running_mean").is_some() {
            rows.extend(training.map(|pass| (name, "training", shape.clone(), pass)));
            rows.extend(evaluation.map(|pass| (name, "evaluation", shape.clone(), pass)));
        } else {
            // Only running statistics make a difference; both were run, and the worse error counts.
            for (training, evaluation) in training.into_iter().zip(evaluation) {
                let worst = training.worst.max(evaluation.worst);
                rows.push((name, "both alike", shape.clone(), Measured { worst, ..training }));
            }
        }
    }

    print_table(&rows);
    let worst = rows.iter().fold(Worst::default(), |worst, (.., row)| worst.max(row.worst));
    if rows.iter().all(|(.., row)| row.timestamps) {
        println!("\nGPU time: between the GPU's own timestamps, the sum over the dispatches; medians of {runs} runs.");
    } else {
        println!("\nGPU time: no timestamps here, so wall time from submit to the end; medians of {runs} runs.");
    }
    println!("A backward gives the gradients of the input and of all parameters; the worst of them counts.");
    println!(
        "Tolerance: what f32 roundings may add up to, see `gpunorm::reference::tolerance` and `Gradient::tolerance`.\n"
    );
    let count = rows.len();
    let share = 100.0 * worst.of_tolerance;
    if worst.is_allowed() {
        println!("All {count} rows are within tolerance; the worst uses {share:.0} % of it.");
    } else {
        println!("NOT within tolerance: the worst of {count} rows is at {share:.0} % of it.");
    }
    Ok(worst.is_allowed())
}

/// One pass, a forward or a backward.
struct Measured {
    pass: &'static str,
    worst: Worst,
    dispatches: usize,
    gpu: Duration,
    /// Whether `gpu` is of the GPU's own clock.
    timestamps: bool,
    oracle: Duration,
}

/// A forward and a backward against the oracle from the same state, then times.
fn measure(norm: &GpuNorm, x: &ArrayD<f32>, runs: usize) -> Result<[Measured; 2], Box<dyn std::error::Error>> {
    let dy = output_gradient(x.shape());
    let (x_wide, dy_wide) = (x.mapv(f64::from), dy.mapv(f64::from));
    let [input, dy] = [x, &dy].map(|array| Tensor::from_array(norm.gpu(), array));
    let (input, dy) = (input?, dy?);
    let before = oracle_state(norm.spec(), &norm.state_dict("")?)?;

    let oracle = || reference::forward(norm.spec(), norm.mode(), &mut before.clone(), &x_wide);
    let (expected, forward_oracle) = timed(runs, oracle)?;
    let (output, saved) = norm.forward_saved(&input)?;
    let worst = block_on(worst_output(&output, &expected))?;
    let (gpu, timestamps) = time_on_gpu(
        norm,
        runs,
        || norm.profile(&input, &output),
        |encoder| norm.encode_forward(encoder, &input, &output),
    )?;
    let dispatches = norm.plan(x.shape(), DType::F32)?.dispatches();
    let forward = Measured { pass: "forward", worst, dispatches, gpu, timestamps, oracle: forward_oracle };

    let oracle = || reference::backward(norm.spec(), norm.mode(), &before, &x_wide, &dy_wide);
    let (expected, oracle) = timed(runs, oracle)?;
    let gradients = norm.backward(&dy, &saved)?;
    let worst = block_on(worst_gradient(&gradients, &expected))?;
    let (gpu, timestamps) = time_on_gpu(
        norm,
        runs,
        || norm.profile_backward(&dy, &saved, &gradients),
        |encoder| norm.encode_backward(encoder, &dy, &saved, &gradients),
    )?;
    let dispatches = norm.plan_backward(&saved)?.dispatches();
    Ok([forward, Measured { pass: "backward", worst, dispatches, gpu, timestamps, oracle }])
}

/// The median time of one run on the GPU, after others as a warm-up, and whether it is of the GPU's own clock.
fn time_on_gpu(
    norm: &GpuNorm,
    runs: usize,
    profile: impl Fn() -> Result<Option<Vec<(&'static str, Duration)>>, Error>,
    record: impl Fn(&mut wgpu::CommandEncoder) -> Result<(), Error>,
) -> Result<(Duration, bool), Box<dyn std::error::Error>> {
    let mut timestamps = true;
    let times = (0..runs).map(|_| match profile()? {
        Some(steps) => Ok(steps.iter().map(|(_, time)| *time).sum()),
        None => {
            timestamps = false;
            wall_time(norm, &record)
        }
    });
    let times = times.collect::<Result<Vec<Duration>, Box<dyn std::error::Error>>>()?;
    Ok((median(times), timestamps))
}

/// What `work` gives, and its median time.
fn timed<T>(runs: usize, work: impl Fn() -> Result<T, Error>) -> Result<(T, Duration), Error> {
    let mut times = vec![];
    let mut run = || {
        let start = Instant::now();
        let value = work()?;
        times.push(start.elapsed());
        Ok(value)
    };
    let value = run()?;
    for _ in 1..runs {
        run()?;
    }
    Ok((value, median(times)))
}

/// From the submission of a recorded pass to its end.
fn wall_time(
    norm: &GpuNorm,
    record: impl Fn(&mut wgpu::CommandEncoder) -> Result<(), Error>,
) -> Result<Duration, Box<dyn std::error::Error>> {
    let (device, queue) = (norm.gpu().device(), norm.gpu().queue());
    let mut encoder = device.create_command_encoder(&Default::default());
    record(&mut encoder)?;
    let start = Instant::now();
    queue.submit([encoder.finish()]);
    device.poll(wgpu::PollType::wait_indefinitely())?;
    Ok(start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn print_table(rows: &[(&str, &str, Vec<usize>, Measured)]) {
    let title = |cells: [&str; 9]| cells.map(str::to_owned);
    let mut table = vec![
        title(["", "", "", "", "", "largest", "share of", "GPU", "CPU oracle"]),
        title(["norm", "mode", "pass", "shape", "dispatches", "error", "tolerance", "time", "(f64, naive)"]),
    ];
    for (name, mode, shape, row) in rows {
        let milliseconds = |time: Duration| format!("{:.2} ms", 1e3 * time.as_secs_f64());
        table.push([
            name.to_string(),
            mode.to_string(),
            row.pass.to_string(),
            format!("{shape:?}"),
            row.dispatches.to_string(),
            format!("{:.1e}", row.worst.error),
            format!("{:.0} %", 100.0 * row.worst.of_tolerance),
            milliseconds(row.gpu),
            milliseconds(row.oracle),
        ]);
    }
    let width = |column: usize| table.iter().map(|cells| cells[column].len()).max().unwrap_or(0);
    let widths: [usize; 9] = std::array::from_fn(width);
    for (index, cells) in table.iter().enumerate() {
        let aligned: Vec<String> = cells
            .iter()
            .zip(widths)
            .enumerate()
            .map(
                |(column, (cell, width))| {
                    if column < 4 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                },
            )
            .collect();
        println!("{}", aligned.join("  "));
        if index == 1 {
            println!("{}", "-".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1)));
        }
    }
}
