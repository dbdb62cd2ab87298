//! What AMD's compiler makes of the kernels that plans pick for a GPU, held to budgets (`cargo xtask occupancy`).
//!
//! No GPU need be there: told a GPU's name, Mesa's RADV opens a device that compiles for it and runs nothing. It crashes on
//! some kernels, so processes of their own compile them (`worker`), and one that dies makes a row that says so.

use std::error::Error;
use std::process::ExitCode;

use kernels::{GPUS, Used};
use report::Row;

mod budgets;
mod kernels;
mod radv;
mod report;
mod spirv;
mod statistics;
mod worker;

/// Where the figures go.
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/occupancy.json");

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match &args[..] {
        [] => occupancy().and_then(|found| found.record()),
        [check] if check == "--check" => occupancy().map(|found| found.check()),
        [gpu, first] => worker::work(gpu, first).map(|()| true),
        _ => Err("usage: gpunorm-occupancy [--check]".into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What the compilers said of each kernel.
struct Found {
    drivers: Vec<String>,
    rows: Vec<Row>,
}

impl Found {
    /// Shows and keeps all of it; whether all budgets are kept.
    fn record(self) -> Result<bool, Box<dyn Error>> {
        println!("{}\n\n{}", self.drivers.join("\n"), report::table(&self.rows, |_| true));
        std::fs::write(RESULTS, report::json(&self.drivers, &self.rows))?;
        Ok(self.rows.iter().all(Row::is_good))
    }

    /// Shows what breaks a budget; whether nothing does.
    fn check(self) -> bool {
        println!("{}", report::table(&self.rows, |row| !row.is_good()));
        self.rows.iter().all(Row::is_good)
    }
}

fn occupancy() -> Result<Found, Box<dyn Error>> {
    let kernels: Vec<Vec<Used>> = GPUS.iter().map(kernels::of).collect::<gpunorm::Result<_>>()?;
    let compiled = std::thread::scope(|scope| {
        let spawn = |(index, kernels): (usize, &Vec<Used>)| {
            let count = kernels.len();
            scope.spawn(move || worker::supervise(count, |first| worker::command(index, first)))
        };
        let workers: Vec<_> = kernels.iter().enumerate().map(spawn).collect();
        let joined = workers.into_iter().map(|worker| worker.join().unwrap_or(Err("a worker's thread failed".into())));
        joined.collect::<Result<Vec<_>, String>>()
    })?;
    let mut drivers = vec![];
    let mut rows = vec![];
    for ((gpu, kernels), compiled) in GPUS.iter().zip(kernels).zip(compiled) {
        drivers.push(compiled.driver);
        rows.extend(kernels.into_iter().zip(compiled.outcomes).map(|(used, outcome)| Row::new(gpu, used, outcome)));
    }
    Ok(Found { drivers, rows })
}
