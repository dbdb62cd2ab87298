//! Devices of low limits: each layer runs right both ways, or says which limit it lacks.

use gpunorm::unstable::Strategy;
use gpunorm::{Error, Gpu};
use wgpu::Limits;

use super::super::{adapters, devices};
use super::fuzz::case::Case;
use super::fuzz::run::{Expected, Failure};

/// Small cases of every layer, as the device plans them.
fn cases() -> impl Iterator<Item = Case> {
    let plain = |seed| Case { device: 0, ceiling: None, strategy: Strategy::default(), ..Case::new(seed) };
    (0..400).map(plain).filter(|case| (1..5000).contains(&case.shape.iter().product::<usize>())).take(100)
}

/// How many ran; whatever did not was refused for one of these reasons.
fn ran(name: &str, gpu: &Gpu, lacks: &[&str]) -> usize {
    let right = |case: &Case| match Expected::of(case).check(case, gpu) {
        Ok(()) => true,
        Err(Failure::Refused(Error::TooLarge { unit, .. })) if lacks.contains(&unit) => false,
        Err(failure) => panic!("{name}: {failure}, {case:?}"),
    };
    cases().filter(right).count()
}

/// GLES 3.1's: 4 storage buffers.
#[test]
fn downlevel() {
    for (name, adapter) in devices::adapters() {
        let (device, queue) = devices::device(adapter, Limits::downlevel_defaults());
        let ran = ran(name, &adapters::checked(Gpu::from_device(device, queue)), &["storage buffers"]);
        assert!(ran >= 5, "{name}: only {ran} ran");
    }
}

/// WebGL2's: no compute and no storage buffers at all.
#[test]
fn webgl2() {
    for (name, adapter) in devices::adapters() {
        let (device, queue) = devices::device(adapter, Limits::downlevel_webgl2_defaults());
        let ran = ran(name, &adapters::checked(Gpu::from_device(device, queue)), &["storage buffers", "bytes"]);
        assert_eq!(ran, 0, "{name}");
    }
}
