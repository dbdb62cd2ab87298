//! Kernels are compiled in a process of their own. It prints the driver and then a line for each kernel, so that when it
//! dies one knows of which, and the next process goes on behind that.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::kernels::{self, GPUS};
use super::radv::Radv;
use super::spirv::spirv;
use super::statistics::Statistics;

/// What became of the kernels of a GPU.
pub struct Compiled {
    pub driver: String,
    /// A crash is how the process ended.
    pub outcomes: Vec<Result<Statistics, String>>,
}

/// The process that compiles for GPUS[gpu] from the kernel `first` on.
pub fn command(gpu: usize, first: usize) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([gpu, first].map(|number| number.to_string())).env("RADV_FORCE_FAMILY", GPUS[gpu].family);
    Ok(command)
}

/// Compiles, in that process.
pub fn work(gpu: &str, first: &str) -> Result<(), Box<dyn Error>> {
    let gpu = GPUS.get(gpu.parse::<usize>()?).ok_or("no such GPU")?;
    let radv = Radv::open(gpu.family)?;
    println!("{}", radv.driver);
    for used in kernels::of(gpu)?.iter().skip(first.parse()?) {
        let spirv = spirv(&used.step)?;
        let said = radv.statistics(used.step.kernel, &spirv, gpu.wave)?;
        println!("{}", serde_json::Value::from(said));
    }
    Ok(())
}

/// Has `count` kernels compiled by commands that go on from a kernel.
pub fn supervise(count: usize, command: impl Fn(usize) -> std::io::Result<Command>) -> Result<Compiled, String> {
    let told = |error: std::io::Error| format!("cannot run a worker: {error}");
    let (mut driver, mut outcomes) = (String::new(), vec![]);
    while outcomes.len() < count {
        let first = outcomes.len();
        let mut command = command(first).map_err(told)?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(told)?;
        let mut lines = child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
        let opened = lines.next().transpose().map_err(told)?;
        for line in lines {
            let line = line.map_err(told)?;
            let said = serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
            outcomes.push(Ok(Statistics::of_radv(&said)?));
        }
        let status = child.wait().map_err(told)?;
        let done = outcomes.len();
        match (opened, status.code()) {
            (Some(name), Some(0)) if done == count => driver = name,
            // Only what a signal ended has no code. It may have been a kernel before: a process that begins with this one tells.
            (Some(_), None) if done < count && done > first => {}
            (Some(name), None) if done < count => {
                driver = name;
                outcomes.push(Err(status.to_string()));
            }
            _ => return Err(format!("a worker failed after {done} of {count} kernels ({status})")),
        }
    }
    Ok(Compiled { driver, outcomes })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// What a shell makes of `each` for the kernels from `$first` on, `$kernel` being the one.
    fn supervised(each: &str) -> Result<Compiled, String> {
        supervise(4, |first| {
            let said = r#"{"VGPRs": 7, "Spilled VGPRs": 0, "LDS size": 0, "Subgroups per SIMD": 8, "Code size": 4}"#;
            let script =
                format!("first={first}; echo RADV; for kernel in $(seq {first} 3); do {each}; echo '{said}'; done");
            let mut command = Command::new("sh");
            command.args(["-c", &script]);
            Ok(command)
        })
    }

    #[test]
    fn a_crash_is_one_kernels_and_the_rest_is_compiled() {
        let crashed = |each: &str| {
            let compiled = supervised(each).unwrap();
            assert_eq!(compiled.driver, "RADV", "{each}");
            let crashes = compiled.outcomes.iter().map(|outcome| outcome.as_ref().err().cloned());
            crashes.map(|crash| crash.is_some_and(|status| status.contains("signal"))).collect::<Vec<_>>()
        };
        assert_eq!(crashed(":"), [false; 4]);
        for kernel in 0..4 {
            let crashes = crashed(&format!("[ $kernel != {kernel} ] || kill -s KILL $$"));
            assert_eq!(crashes, [0, 1, 2, 3].map(|other| other == kernel));
        }
        // What kernel 1 has broken in its process.
        assert_eq!(crashed("[ $kernel != 2 ] || [ $first = 2 ] || kill -s KILL $$"), [false; 4]);
    }

    #[test]
    fn what_is_no_crash_ends_the_run() {
        for (each, told) in [
            ("exit 1", "a worker failed after 0 of 4 kernels (exit status: 1)"),
            ("[ $kernel != 3 ] || exit 0", "a worker failed after 3 of 4 kernels (exit status: 0)"),
            ("echo no", "expected ident at line 1 column 2: no"),
            ("echo '{}'", r#"RADV has no statistic "VGPRs": {}"#),
        ] {
            assert_eq!(supervised(each).err().as_deref(), Some(told));
        }
        let closed = supervise(1, |_| Ok(Command::new("false")));
        assert_eq!(closed.err().as_deref(), Some("a worker failed after 0 of 1 kernels (exit status: 1)"));
    }
}
