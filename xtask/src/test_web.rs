//! The tests that run in a browser: `tests/web`, in headless Chromium.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::browser::Browser;
use crate::serve::Server;
use crate::steps::{ROOT, Runner, target, told};
use crate::wasm::Wasm;

/// A tab that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(300);
/// Bytes that a browser may have, of which it takes half a gibibyte for itself. The tests drop many times as many.
const MEMORY: u64 = 3 << 30;

/// What `tests/web/absent.rs` is refused with, line by line.
const INSTEAD: [&str; 14] = [
    "await `Gpu::request()`",
    "await `warm_up_async`",
    "await `read()`",
    "await `read_as()`",
    "await `forward_async`",
    "await `forward_async`",
    "await `profile_async`",
    "await `profile_async`",
    "await `profile_backward_async`",
    "await `read_state_dict`",
    "await `read_num_batches_tracked()`",
    "take their bytes to `StateDict::from_safetensors`",
    "take their bytes to `StateDict::from_safetensors`",
    "take the bytes of `to_safetensors()`",
];

/// Those with `word` in their names.
pub fn run(runner: &Runner, word: &str) -> Result<(), String> {
    let wasm = Wasm::ensure(runner)?;
    if word.is_empty() {
        wasm.lint(runner)?;
        absent(runner, &wasm)?;
    }
    let folder = target("web-tests")?;
    let server = Server::start(&folder, 0).map_err(|error| format!("cannot serve: {error}"))?;
    if word.is_empty() {
        build(runner, &wasm, "readme", "readme.html", &folder)?;
        readme(&server)?;
    }
    build(runner, &wasm, "gpunorm-web-tests", "index.html", &folder)?;
    let browser = Browser::open(&format!("{}/?{word}", server.address()), &[])?;
    match watch(runner, &server, &browser)? {
        0 => Ok(()),
        failed => Err(format!("{failed} tests failed in the browser")),
    }
}

fn build(runner: &Runner, wasm: &Wasm, program: &str, page: &str, folder: &Path) -> Result<(), String> {
    wasm.build(runner, "gpunorm-web-tests", &["--bin", program], folder)?;
    let source = Path::new(ROOT).join("tests/web").join(page);
    fs::copy(&source, folder.join(page)).map(drop).map_err(|error| told("copy", &source, &error))
}

/// The README's program says what it should.
fn readme(server: &Server) -> Result<(), String> {
    let _browser = Browser::open(&format!("{}/readme.html", server.address()), &[])?;
    match server.next(SILENCE) {
        Some(sent) if sent.body == "both ways the same: true" => Ok(()),
        said => Err(format!("the README's program says {:?}", said.map(|sent| sent.body))),
    }
}

/// What browsers lack does not compile for them.
fn absent(runner: &Runner, wasm: &Wasm) -> Result<(), String> {
    let args = ["--package", "gpunorm-web-tests", "--features", "absent", "--bin", "absent"];
    let output = runner.refused(&wasm.cargo("absent", "check", &args))?;
    let mut refused: Vec<&str> =
        output.lines().filter_map(|line| line.split_once("^ ")).map(|(_, what)| what).collect();
    let mut expected = INSTEAD.to_vec();
    refused.retain(|what| what.starts_with("await") || what.starts_with("take"));
    refused.sort();
    expected.sort();
    let errors = output.lines().filter(|line| line.starts_with("error[")).count();
    if refused == expected && errors == expected.len() {
        return Ok(());
    }
    Err(format!("{output}\n{errors} errors, of which these name what there is instead: {refused:#?}"))
}

/// How many tests have failed, once the page has ended.
fn watch(runner: &Runner, server: &Server, browser: &Browser) -> Result<u32, String> {
    let (start, mut heard, mut last) = (Instant::now(), Instant::now(), String::new());
    let (mut passed, mut failed, mut most) = (0, 0, 0);
    loop {
        let memory = browser.memory();
        most = memory.max(most);
        if memory > MEMORY {
            return Err(format!("the browser has {} MiB, in {last}", memory >> 20));
        }
        let Some(sent) = server.next(Duration::from_millis(200)) else {
            if heard.elapsed() > SILENCE {
                return Err(format!("the tab has said nothing for {} s, in {last}", SILENCE.as_secs()));
            }
            continue;
        };
        heard = Instant::now();
        if runner.verbose {
            eprintln!("{:>7.1} s {:>5} MiB  {} {}", start.elapsed().as_secs_f64(), memory >> 20, sent.path, sent.body);
        }
        match &*sent.path {
            "/progress" => last = sent.body,
            "/passed" => passed += 1,
            "/failed" => {
                failed += 1;
                eprintln!("FAILED {}", sent.body);
            }
            "/end" => break,
            _ => {}
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("web       {seconds:>6.1} s  {passed} passed, at most {} MiB in the browser", most >> 20);
    if passed + failed == 0 { Err("no test of this name ran in the browser".into()) } else { Ok(failed) }
}
