//! How many dispatches a forward takes, its running statistics included: one where a row fits on chip, never more than
//! three (a property in plans.rs) while the tensor can be bound whole.

use gpunorm::caps::Caps;
use gpunorm::geometry::Geometry;
use gpunorm::{
    BatchNorm, DType, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, Plan, RmsNorm, Strategy, SwitchableNorm,
};

use super::plans::zoo;

#[test]
fn dispatches_are_a_contract() {
    let [gpu, software] = [3, 1].map(|index| Caps { max_binding: 1 << 31, max_buffer: 1 << 31, ..zoo()[index] });
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
