//! Every norm against copying its bytes on the same adapter in the same run, and against the CPU (`cargo xtask bench`).
//!
//! Norms only move bytes, so `ratio` is the time that the fastest of a few copy kernels would take over the least bytes
//! that a pass moves, divided by the pass's: 1 is the most that can be reached. A forward moves one copy of its tensor; a
//! backward 1.5 (x and dy read, dx written), or 2.5 where x and dy have to be read twice. Times are medians of interleaved
//! runs over tensors that take turns; outputs are overwritten before each and compared with the CPU's after the last.
//! BENCHMARKS.md says what each column is.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gpunorm::unstable::{Route, Strategy, Team};
use gpunorm::{DType, Gpu};

use harness::cases::{self, Case};
use harness::copy::Copies;
use harness::measure::{self, Row};
use harness::{chart, report};

mod beside;
mod cpu;
mod harness;
mod placed;

const HELP: &str = "\
cargo xtask bench [OPTIONS] [WORDS]   only cases whose name or id contains one of WORDS
  --backward      backward passes instead of forwards
  --beside        forwards with what stands beside a norm, in one call and in kernels of their own
  --placed        forwards in place and of packed tensors, beside those from one tensor into another
  --dtype TYPES   element types in turn, as f32,f16,bf16 (f32)
  --quick         3 runs of each instead of 9
  --json FILE     where the figures go (target/bench/norms.json)
  --svg FILE      where the chart goes (target/bench/norms.svg)
  --route ROUTE   fused or split, instead of what the plan would choose
  --team TEAM     workgroup, subgroup or invocation, instead of what the plan would choose
  --lanes N       lanes of a team, instead of what the plan would choose
  --cases FILE    write the list of cases there, for benches/peers, and nothing else";

struct Options {
    backward: bool,
    beside: bool,
    placed: bool,
    dtypes: Vec<DType>,
    runs: usize,
    json: PathBuf,
    svg: PathBuf,
    strategy: Strategy,
    cases: Option<PathBuf>,
    words: Vec<String>,
}

impl Options {
    fn pass(&self) -> &'static str {
        if self.backward { "backward" } else { "forward" }
    }
}

fn options() -> Result<Option<Options>, Box<dyn Error>> {
    let mut options = Options {
        backward: false,
        beside: false,
        placed: false,
        dtypes: vec![DType::F32],
        runs: 9,
        json: "target/bench/norms.json".into(),
        svg: "target/bench/norms.svg".into(),
        strategy: Strategy::default(),
        cases: None,
        words: vec![],
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--backward" => options.backward = true,
            "--beside" => options.beside = true,
            "--placed" => options.placed = true,
            "--dtype" => {
                let types = value()?;
                let dtype = |name: &str| {
                    let all = [DType::F32, DType::F16, DType::BF16];
                    all.into_iter().find(|dtype| dtype.to_string() == name).ok_or(format!("no such type: {name}"))
                };
                options.dtypes = types.split(',').map(dtype).collect::<Result<_, _>>()?;
            }
            "--quick" => options.runs = 3,
            "--json" => options.json = value()?.into(),
            "--svg" => options.svg = value()?.into(),
            "--cases" => options.cases = Some(value()?.into()),
            "--route" => {
                options.strategy.route = Some(match value()?.as_str() {
                    "fused" => Route::Fused,
                    "split" => Route::Split,
                    other => return Err(format!("no such route: {other}").into()),
                })
            }
            "--team" => {
                options.strategy.team = Some(match value()?.as_str() {
                    "workgroup" => Team::Workgroup,
                    "subgroup" => Team::Subgroup,
                    "invocation" => Team::Invocation,
                    other => return Err(format!("no such team: {other}").into()),
                })
            }
            "--lanes" => options.strategy.lanes = Some(value()?.parse()?),
            "--help" | "-h" => {
                println!("{HELP}");
                return Ok(None);
            }
            "--bench" => {} // what `cargo bench` passes
            unknown if unknown.starts_with('-') => return Err(format!("no such option: {unknown}\n\n{HELP}").into()),
            word => options.words.push(word.to_lowercase()),
        }
    }
    Ok(Some(options))
}

/// The cases that one of `words` is part of; all of them without words.
fn chosen<'a>(all: &'a [Case], words: &[String]) -> Result<Vec<&'a Case>, String> {
    let is_called = |case: &Case, word: &String| case.name.to_lowercase().contains(word) || case.id().contains(word);
    if let Some(unknown) = words.iter().find(|word| !all.iter().any(|case| is_called(case, word))) {
        let list: String = all.iter().map(|case| format!("\n  {:<26} {}", case.name, case.id())).collect();
        return Err(format!("no case is called {unknown:?}; there are{list}"));
    }
    let is_chosen = |case: &&Case| words.is_empty() || words.iter().any(|word| is_called(case, word));
    Ok(all.iter().filter(is_chosen).collect())
}

fn row(gpu: &Gpu, copies: &Copies, case: &Case, options: &Options) -> Result<Row, Box<dyn Error>> {
    let mut pass = harness::pass(gpu, case, options.backward, options.strategy)?;
    measure::measure(gpu, copies, &mut *pass, options.runs)
}

fn main() -> ExitCode {
    let Err(error) = bench() else { return ExitCode::SUCCESS };
    eprintln!("{error}");
    ExitCode::FAILURE
}

fn bench() -> Result<(), Box<dyn Error>> {
    let Some(options) = options()? else { return Ok(()) };
    // `cargo bench` runs this in its package's folder, but files are given from the root.
    if let Some(package) = std::env::var_os("CARGO_MANIFEST_DIR") {
        std::env::set_current_dir(Path::new(&package).join(".."))?;
    }
    if let Some(path) = options.cases.as_ref().filter(|_| options.beside) {
        return write_cases(path, beside::list(&options.words));
    }
    if options.beside || options.placed {
        let (gpu, run) = (Gpu::new()?, if options.beside { beside::run } else { placed::run });
        let report = run(&gpu, options.runs, &options.words)?;
        return write(&options.json, &report);
    }
    let all = cases::all();
    let all: Vec<Case> = all.iter().flat_map(|case| options.dtypes.iter().map(|&dtype| case.of(dtype))).collect();
    let chosen = chosen(&all, &options.words)?;
    if let Some(path) = &options.cases {
        return write_cases(path, chosen.iter().filter(|case| case.for_peers()).map(|case| case.to_json()).collect());
    }
    let gpu = Gpu::new()?;
    let info = gpu.adapter_info();
    println!("{} ({:?}, {} {})", info.name, info.backend, info.driver, info.driver_info);
    println!("CPU: {} threads\n\n{}", rayon::current_num_threads(), report::header());
    let copies = Copies::new(&gpu);
    let mut rows = vec![];
    for (index, case) in chosen.iter().enumerate() {
        let live = std::io::stderr().is_terminal();
        if live {
            eprint!("{}/{} {} {:?} ...\r", index + 1, chosen.len(), case.name, case.shape);
            std::io::stderr().flush()?;
        }
        let row = match row(&gpu, &copies, case, &options) {
            // A strategy that this case cannot have.
            Err(error) if error.downcast_ref().is_some_and(|e| matches!(e, gpunorm::Error::Strategy { .. })) => {
                println!("{:<26} {:<18} {error}", case.name, case.shape_text());
                continue;
            }
            row => row?,
        };
        if live {
            eprint!("{:70}\r", "");
        }
        println!("{}", report::line(case, &row));
        rows.push((*case, row));
        // Memory of one case's sizes is of no use to the next.
        gpu.empty_cache();
    }
    write(&options.json, &report::to_json(&gpu, options.pass(), options.runs, &rows))?;
    options.svg.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    chart::draw(&options.svg, &gpu, options.pass(), &rows)?;
    println!("wrote {}", options.svg.display());
    Ok(())
}

fn write_cases(path: &Path, list: Vec<serde_json::Value>) -> Result<(), Box<dyn Error>> {
    Ok(std::fs::write(path, format!("{:#}\n", serde_json::Value::from(list)))?)
}

fn write(path: &Path, report: &serde_json::Value) -> Result<(), Box<dyn Error>> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(path, format!("{report:#}\n"))?;
    println!("\nwrote {}", path.display());
    Ok(())
}
