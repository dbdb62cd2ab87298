//! Mixed work for as long as one likes: threads that run the fuzzer's layers, shapes, element types and calls over devices that all
//! share and over others that are made and dropped; results are checked and memory is watched. `GPUNORM_SOAK_SECONDS` says for how
//! long (`cargo xtask soak`), and `GPUNORM_SOAK_REPORT` where the report goes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use wgpu::Limits;

use super::super::adapters::Turns;
use super::super::data::Random;
use super::super::{devices, settings};
use super::fuzz::{DEVICES, Drawn, Outcome, of_limits};
use super::isolated_for;
use super::memory::status;

const THREADS: usize = 8;
/// Cases that are drawn again and again: each takes pipelines, which caches keep, the driver's too.
const CASES: u64 = 240;
const FEW_CASES: u64 = 12;
/// Of so many cases one has a device to itself.
const ON_ITS_OWN: usize = 20;
/// Parts of the time that is left once all cases have run, which fills caches.
const WINDOWS: u32 = 12;

#[derive(Default)]
struct Done {
    drawn: AtomicU64,
    right: AtomicU64,
    refused: AtomicU64,
    devices: AtomicU64,
}

impl Done {
    fn count(&self, outcome: &Outcome) {
        let count = if matches!(outcome, Outcome::Right) { &self.right } else { &self.refused };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// One thread's work until it is over; the first wrong result ends it.
fn work(seed: u64, first: u64, cases: u64, done: &Done, over: &AtomicBool) -> Result<(), String> {
    let mut random = Random::new(seed);
    let mut below = |end: usize| (random.uniform() * end as f64) as usize % end;
    while !over.load(Ordering::Relaxed) {
        // All of them once, then any.
        let number = done.drawn.fetch_add(1, Ordering::Relaxed);
        let number = if number < cases { number } else { below(cases as usize) as u64 };
        let drawn = Drawn::new(first + number);
        if below(ON_ITS_OWN) == 0 {
            let (_, adapter) = devices::adapters().next().expect("an adapter");
            let gpu = of_limits(adapter, Limits::default());
            done.devices.fetch_add(1, Ordering::Relaxed);
            done.count(&drawn.on(&gpu)?);
            continue;
        }
        for (name, gpus) in Turns::over(&DEVICES) {
            done.count(&drawn.on(drawn.of(gpus)).map_err(|wrong| format!("{name}, {wrong}"))?);
        }
    }
    Ok(())
}

#[test]
fn mixed_work() {
    let seconds: Option<u32> = settings::number("GPUNORM_SOAK_SECONDS");
    // The cases that are under way when the time is over are not interrupted.
    let limit = settings::within(u64::from(seconds.unwrap_or(0)) + 600);
    // Where threads meet in it, glibc reserves 64 MiB of addresses for another arena.
    isolated_for(limit, "soak::mixed_work", &[("MALLOC_ARENA_MAX", "1")], || {
        let (time, cases) = seconds.map_or((8, FEW_CASES), |seconds| (seconds, CASES));
        let time = Duration::from_secs(time.into());
        let (start, first) = (Instant::now(), settings::seed());
        let (done, over, wrong) = (Done::default(), AtomicBool::new(false), Mutex::new(None));
        let (failed, told) = mpsc::channel();
        let (filled, resident): (_, Vec<u64>) = thread::scope(|scope| {
            for thread in 0..THREADS as u64 {
                let failed = failed.clone();
                let (done, over, wrong) = (&done, &over, &wrong);
                scope.spawn(move || {
                    if let Err(reason) = work(first + thread, first, cases, done, over) {
                        wrong.lock().unwrap().get_or_insert(reason);
                        let _ = failed.send(());
                    }
                });
            }
            // Until the time is over or somebody has failed.
            let is_over = |until: Duration| told.recv_timeout(until.saturating_sub(start.elapsed())).is_ok();
            let counted = || done.right.load(Ordering::Relaxed) + done.refused.load(Ordering::Relaxed);
            let mut ended = false;
            while !ended && start.elapsed() < time && counted() < 2 * cases {
                ended = is_over(time.min(start.elapsed() + Duration::from_secs(1)));
            }
            let (filled, mut seen) = (start.elapsed(), vec![]);
            for k in 0..=WINDOWS {
                ended = ended || is_over(filled + time.saturating_sub(filled) / WINDOWS * k);
                if ended {
                    break;
                }
                seen.push(status("VmRSS:"));
            }
            over.store(true, Ordering::Relaxed);
            (filled, seen)
        });
        let [right, refused, devices] = [&done.right, &done.refused, &done.devices].map(|n| n.load(Ordering::Relaxed));
        let report = json!({
            "seconds": start.elapsed().as_secs(), "threads": THREADS, "cases": cases, "first_seed": first,
            "right": right, "refused": refused, "wrong": *wrong.lock().unwrap(), "devices_made_and_dropped": devices,
            "seconds_until_all_cases_have_run": filled.as_secs(), "resident_bytes": resident,
        });
        println!("{report}");
        if let Some(path) = std::env::var_os("GPUNORM_SOAK_REPORT") {
            std::fs::write(path, serde_json::to_string_pretty(&report).unwrap() + "\n").unwrap();
        }
        assert!(wrong.lock().unwrap().is_none(), "{report}");
        assert!(right > refused && (seconds.is_none() || devices > 0), "{report}");
        // Shorter runs are all compilation.
        if time - filled.min(time) >= Duration::from_secs(600) {
            let mut grown: Vec<u64> = resident.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
            grown.sort_unstable();
            assert!(grown[grown.len() / 2] < 16 << 20, "memory grows: {report}");
        }
    });
}
