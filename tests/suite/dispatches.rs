//! How many dispatches a forward and a backward take, while the tensor can be bound whole. A forward, its running statistics
//! included: one where a row fits on chip, never more than three. A backward with its gradients of parameters: two where a
//! row and its dy fit the registers of a team, never more than four. (That they are never more is a property in plans.rs.)

use gpunorm::caps::Caps;
use gpunorm::geometry::Geometry;
use gpunorm::plan::Pass;
use gpunorm::{
    BatchNorm, DType, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, Plan, RmsNorm, Strategy, SwitchableNorm,
};

use super::plans::zoo;

/// A discrete GPU, and a software adapter.
fn devices() -> [Caps; 2] {
    [3, 1].map(|index| Caps { max_binding: 1 << 31, max_buffer: 1 << 31, ..zoo()[index] })
}

#[test]
fn dispatches_are_a_contract() {
    let [gpu, software] = devices();
    let batch = |channels| NormSpec::from(BatchNorm::new(channels));
    let tracked = InstanceNorm::new(64).track_running_stats(true);
    // Spec, shape, and dispatches on a discrete GPU and on a software adapter.
    let cases: [(NormSpec, &[usize], usize, usize); 18] = [
        (LayerNorm::new([1024]).into(), &[16384, 1024], 1, 1),
        (RmsNorm::new([4096]).into(), &[4096, 4096], 1, 1),
        (LayerNorm::new([64]).into(), &[262_144, 64], 1, 1),
        (LayerNorm::new([1001]).into(), &[16384, 1001], 1, 1),
        (LayerNorm::new([32_768]).into(), &[1024, 32_768], 1, 3),
        (LayerNorm::new([262_144]).into(), &[64, 262_144], 3, 3),
        (GroupNorm::new(32, 64).into(), &[16, 64, 112, 112], 1, 3),
        (InstanceNorm::new(64).into(), &[16, 64, 112, 112], 1, 3),
        (tracked.clone().into(), &[16, 64, 112, 112], 2, 3),
        (tracked.into(), &[1, 64, 512, 512], 3, 3),
        (GroupNorm::new(32, 512).into(), &[1, 512, 64, 64], 3, 3),
        (InstanceNorm::new(64).into(), &[1, 64, 512, 512], 3, 3),
        (batch(64), &[32, 64, 112, 112], 3, 3),
        (batch(256), &[65_536, 256], 3, 3),
        (SwitchableNorm::new(64).into(), &[16, 64, 112, 112], 3, 3),
        (batch(64), &[8, 64, 7, 7], 1, 1),
        (batch(512), &[32, 512, 7, 7], 1, 1),
        (batch(6), &[2, 6], 1, 1),
    ];
    for (spec, shape, on_gpu, on_software) in cases {
        let geometry = Geometry::new(&spec, Mode::Training, shape).unwrap();
        for (caps, dispatches) in [(&gpu, on_gpu), (&software, on_software)] {
            let plan = Plan::forward(&spec, &geometry, DType::F32, caps, Strategy::default()).unwrap();
            assert_eq!(plan.steps.len(), dispatches, "{spec:?} {shape:?} {caps:?}\n{plan}");
        }
        if matches!(spec, NormSpec::Batch(_)) {
            let geometry = Geometry::new(&spec, Mode::Evaluation, shape).unwrap();
            let plan = Plan::forward(&spec, &geometry, DType::F32, &gpu, Strategy::default()).unwrap();
            assert_eq!(plan.steps.len(), 1, "{spec:?}, evaluating\n{plan}");
        }
    }
}

#[test]
fn dispatches_of_a_backward_are_a_contract() {
    use Mode::{Evaluation, Training};
    let batch = |channels| BatchNorm::new(channels);
    // Spec, mode, shape, and dispatches on a discrete GPU and on a software adapter.
    let cases: [(NormSpec, Mode, &[usize], usize, usize); 22] = [
        (LayerNorm::new([1024]).into(), Training, &[16384, 1024], 2, 2),
        (RmsNorm::new([4096]).into(), Training, &[4096, 4096], 2, 2),
        (LayerNorm::new([64]).into(), Training, &[262_144, 64], 2, 2),
        (LayerNorm::new([1001]).into(), Training, &[16384, 1001], 2, 2),
        (LayerNorm::new([1024]).affine(false).into(), Training, &[16384, 1024], 1, 3),
        (LayerNorm::new([32_768]).into(), Training, &[1024, 32_768], 2, 4),
        (LayerNorm::new([262_144]).into(), Training, &[64, 262_144], 4, 4),
        (GroupNorm::new(32, 64).into(), Training, &[16, 64, 112, 112], 2, 3),
        (GroupNorm::new(32, 512).into(), Training, &[16, 512, 16, 16], 2, 3),
        (GroupNorm::new(32, 64).affine(false).into(), Training, &[16, 64, 112, 112], 1, 3),
        (InstanceNorm::new(64).into(), Training, &[16, 64, 112, 112], 1, 3),
        (InstanceNorm::new(64).affine(true).into(), Training, &[16, 64, 112, 112], 2, 3),
        (batch(64).into(), Training, &[32, 64, 112, 112], 3, 3),
        (batch(256).into(), Training, &[65_536, 256], 3, 3),
        (batch(512).into(), Training, &[32, 512, 7, 7], 2, 3),
        (batch(512).affine(false).into(), Training, &[32, 512, 7, 7], 1, 3),
        (batch(64).into(), Evaluation, &[32, 64, 112, 112], 2, 2),
        (batch(256).into(), Evaluation, &[65_536, 256], 2, 2),
        (batch(64).affine(false).into(), Evaluation, &[32, 64, 112, 112], 1, 1),
        (batch(256).affine(false).into(), Evaluation, &[65_536, 256], 1, 1),
        (SwitchableNorm::new(64).into(), Training, &[16, 64, 112, 112], 4, 4),
        (SwitchableNorm::new(64).into(), Evaluation, &[16, 64, 112, 112], 4, 4),
    ];
    for (spec, mode, shape, on_gpu, on_software) in cases {
        let geometry = Geometry::new(&spec, mode, shape).unwrap();
        for (caps, dispatches) in devices().iter().zip([on_gpu, on_software]) {
            let pass = Pass::Backward { parts: 1, accumulate: false };
            let plan = Plan::new(&spec, &geometry, DType::F32, caps, Strategy::default(), pass).unwrap();
            assert_eq!(plan.steps.len(), dispatches, "{spec:?} {mode:?} {shape:?} {caps:?}\n{plan}");
        }
    }
}
