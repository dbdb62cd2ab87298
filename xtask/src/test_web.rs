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

pub fn run(runner: &Runner) -> Result<(), String> {
    let folder = target("web-tests")?;
    Wasm::ensure(runner)?.build(runner, "gpunorm-web-tests", &[], &folder)?;
    let page = Path::new(ROOT).join("tests/web/index.html");
    fs::copy(&page, folder.join("index.html")).map_err(|error| told("copy", &page, &error))?;
    let server = Server::start(&folder, 0).map_err(|error| format!("cannot serve: {error}"))?;
    let start = Instant::now();
    let _browser = Browser::open(server.address(), &[])?;
    let (mut passed, mut failed) = (0, 0);
    loop {
        let Some(sent) = server.next(SILENCE) else {
            return Err(format!("the tab has said nothing for {} s", SILENCE.as_secs()));
        };
        match &*sent.path {
            "/passed" => {
                passed += 1;
                if runner.verbose {
                    eprintln!("passed {}", sent.body);
                }
            }
            "/failed" => {
                failed += 1;
                eprintln!("FAILED {}", sent.body);
            }
            "/note" => eprintln!("{}", sent.body),
            "/end" => break,
            _ => {}
        }
    }
    eprintln!("web       {:>6.1} s  {passed} passed", start.elapsed().as_secs_f64());
    match (passed, failed) {
        (_, 1..) => Err(format!("{failed} tests failed in the browser")),
        (0, 0) => Err("no test ran in the browser".into()),
        _ => Ok(()),
    }
}
