//! What several processes find of a batch that they share by MPI, and how they end where one of them does something else. Each run of
//! `mpirun` tries one thing; `xtask/src/test_mpi.rs` says which, and what has to come of it.

#[path = "../suite/case.rs"]
#[allow(dead_code, reason = "the suite has more of it")]
mod case;
#[path = "../suite/compare.rs"]
#[allow(dead_code, reason = "the suite has more of it")]
mod compare;
#[path = "../suite/data.rs"]
#[allow(dead_code, reason = "the suite has more to do with them")]
mod data;
#[path = "../suite/shares.rs"]
mod shares;

use std::error::Error;
use std::time::Duration;

use gpunorm::mpi::traits::Communicator;
use gpunorm::mpi::{self, Threading};
use gpunorm::{BatchNorm, Gpu, GpuNorm, Mode, ProcessGroup, SwitchableNorm, Tensor, or_abort};

type Outcome = Result<(), Box<dyn Error>>;

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    if what == "single" {
        let universe = mpi::initialize().expect("MPI starts once");
        let told = ProcessGroup::mpi(&universe.world(), Duration::from_secs(1)).expect_err("of a single thread");
        println!("{told}");
        return;
    }
    let (universe, _) = mpi::initialize_with_threading(Threading::Funneled).expect("MPI starts once");
    let world = universe.world();
    or_abort(&world, run(&what, &world));
}

fn run(what: &str, world: &impl Communicator) -> Outcome {
    let timeout = Duration::from_secs(if what == "absent" { 2 } else { 300 });
    let group = ProcessGroup::mpi(world, timeout)?;
    let gpu = Gpu::new()?;
    match what {
        "equal" => equal(&gpu, &group),
        "differ" => differ(&gpu, &group),
        "parts" => parts(&gpu, world, timeout),
        _ => fail(what, &gpu, &group),
    }
}

fn shared(gpu: &Gpu, channels: usize, group: &ProcessGroup) -> gpunorm::Result<(GpuNorm, Tensor)> {
    let mut norm = GpuNorm::new(gpu, BatchNorm::new(channels))?;
    norm.set_process_group(Some(group));
    Ok((norm, Tensor::from_array(gpu, &data::values("normal", &[3, channels, 5], 7))?))
}

/// Shares give what the whole batch gives in one process, and the same bits every time.
fn equal(gpu: &Gpu, group: &ProcessGroup) -> Outcome {
    let cases = shares::cases();
    for case in &cases {
        case.run_twice(gpu, group)?;
    }
    if group.rank() == 0 {
        let name = gpu.adapter_info().name;
        println!("{} cases are equal over {} processes on {name}", cases.len(), group.size());
    }
    Ok(())
}

/// Each process is told where they do not make the same call, and goes on.
fn differ(gpu: &Gpu, group: &ProcessGroup) -> Outcome {
    let rank = group.rank();
    let told = |result: gpunorm::Result<()>, expected: &str| {
        let found = result.err().map_or("nothing".to_owned(), |error| error.to_string());
        if found.contains(expected) { Ok(()) } else { Err(format!("told {found} in place of {expected}")) }
    };
    let (norm, x) = shared(gpu, 3 + usize::from(rank == 1), group)?;
    told(norm.forward_tensor(&x).map(drop), "do not agree on the channels, by rank: 3, 4")?;
    let (norm, x) = shared(gpu, 3, group)?;
    norm.set_mode(if rank == 1 { Mode::Evaluation } else { Mode::Training });
    told(norm.forward_saved(&x).map(drop), "do not agree on the mode, by rank: training, evaluation")?;
    let (norm, x) = shared(gpu, 3, group)?;
    let wrong = Tensor::from_array(gpu, &data::values("normal", &[3, 2], 7))?;
    told(norm.forward_tensor(if rank == 1 { &wrong } else { &x }).map(drop), "expected 3 channels")?;
    // And all is well again.
    let saved = norm.forward_saved(&x)?.1;
    norm.backward(&x, &saved)?;
    Ok(())
}

/// Some of the processes, and a layer of another norm.
fn parts(gpu: &Gpu, world: &impl Communicator, timeout: Duration) -> Outcome {
    use gpunorm::mpi::topology::Color;
    let color = world.rank() % 2;
    let part = world.split_by_color(Color::with_value(color)).ok_or("every process has a part")?;
    let group = ProcessGroup::mpi(&part, timeout)?;
    let mut norm = GpuNorm::new(gpu, SwitchableNorm::new(2))?;
    norm.set_process_group(Some(&group));
    norm.forward_tensor(&Tensor::from_array(gpu, &data::values("normal", &[2, 2, 3], 7))?)?;
    let found = [norm.running_mean().ok_or("it tracks")?.to_array()?.sum()];
    let bytes = group.all_gather(&found[0].to_le_bytes())?;
    if bytes.iter().all(|other| *other == bytes[0]) { Ok(()) } else { Err("a part is not alike".into()) }
}

/// The last process does what ends all of them, while the others wait for it.
fn fail(what: &str, gpu: &Gpu, group: &ProcessGroup) -> Outcome {
    let (norm, x) = shared(gpu, 3, group)?;
    if group.rank() + 1 == group.size() {
        match what {
            "error" => return Err("it has no data".into()),
            "panic" => panic!("of its own"),
            "exit" => std::process::exit(3),
            "absent" => std::thread::sleep(Duration::from_secs(60)),
            _ => return Err(format!("nothing is called {what}").into()),
        }
    }
    norm.forward_tensor(&x)?;
    Ok(())
}
