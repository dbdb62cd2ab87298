//! Devices whose backend takes no WGSL: burn's own operations, as right, and said once.

use std::sync::{Mutex, OnceLock};

use burn::tensor::{Device, Tensor};
use gpunorm::{DType, Mode, NormSpec};
use gpunorm_burn::LayerNormConfig;

use crate::float64::{check_on, specs, state};
use crate::values::values;

/// What is logged.
struct Log(Mutex<Vec<String>>);

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        if record.target().starts_with("gpunorm_burn") {
            self.0.lock().expect("nobody panics").push(format!("{}: {}", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}

fn logged() -> &'static Log {
    static LOG: OnceLock<&Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log: &'static Log = Box::leak(Box::new(Log(Mutex::default())));
        log::set_logger(log).expect("no other logger");
        log::set_max_level(log::LevelFilter::Warn);
        log
    })
}

#[test]
fn the_cpu_is_as_right() {
    let (device, mut checks, mut failures) = (Device::flex(), 0, vec![]);
    for shape in [&[5, 6][..], &[3, 6, 11], &[2, 6, 8, 8]] {
        let (x, dy) = (values(shape, 1, 0.5, 2.0), values(shape, 2, 0.1, 1.0));
        for spec in specs(shape) {
            for mode in [Mode::Training, Mode::Evaluation] {
                // In evaluation burn's sums on the CPU are as long as in training; one way is enough for those that are the same in both.
                let Some(result) = check_on(&device, &spec, mode, &state(&spec), [&x, &dy], DType::F32) else {
                    continue;
                };
                checks += 1;
                failures.extend(result.err().map(|error| format!("{spec:?}, {mode:?}, {shape:?}: {error}")));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {checks}: {}", failures.len(), failures.join("\n"));
    assert!(checks >= 60, "only {checks} checks ran");
}

#[test]
fn it_is_said_once() {
    let log = logged();
    let device = Device::flex();
    let norm = LayerNormConfig::new(4).init(&device);
    for _ in 0..3 {
        drop(norm.forward(Tensor::<2>::zeros([2, 4], &device)));
    }
    let spec = NormSpec::from(gpunorm::LayerNorm::new(4));
    let lines = log.0.lock().expect("nobody panics").clone();
    let said: Vec<_> = lines.iter().filter(|line| line.contains(spec.name())).collect();
    // The other test of this file may have been first, before there was a log.
    assert!(said.len() <= 1, "{said:?}");
    if let [said] = said[..] {
        assert!(said.starts_with("WARN: layer norm runs on burn's own operations: Flex"), "{said}");
    }
}
