//! How many dispatches a forward and a backward take, while the tensor can be bound whole. A forward, its running statistics
//! included: one where a row fits a workgroup's registers, never more than three. A backward with its gradients of parameters: two where a
//! row and its dy fit the registers of a team, never more than four. (That they are never more is a property in plans.rs.)

use gpunorm::unstable::{Binding, Caps, Geometry, Gradient, Pass, Strategy};
use gpunorm::{BatchNorm, DType, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, Plan, RmsNorm, SwitchableNorm};

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
        (batch(512), &[32, 512, 7, 7], 1, 3),
        (batch(6), &[2, 6], 1, 1),
    ];
    for (spec, shape, on_gpu, on_software) in cases {
        let geometry = Geometry::new(&spec, Mode::Training, shape).unwrap();
        for (caps, dispatches) in [(&gpu, on_gpu), (&software, on_software)] {
            let plan = Plan::forward(&spec, &geometry, DType::F32, caps, Strategy::default()).unwrap();
            assert_eq!(plan.dispatches(), dispatches, "{spec:?} {shape:?} {caps:?}\n{plan}");
        }
        if matches!(spec, NormSpec::Batch(_)) {
            let geometry = Geometry::new(&spec, Mode::Evaluation, shape).unwrap();
            let plan = Plan::forward(&spec, &geometry, DType::F32, &gpu, Strategy::default()).unwrap();
            assert_eq!(plan.dispatches(), 1, "{spec:?}, evaluating\n{plan}");
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
        (LayerNorm::new([32_768]).into(), Training, &[1024, 32_768], 4, 4),
        (LayerNorm::new([262_144]).into(), Training, &[64, 262_144], 4, 4),
        (GroupNorm::new(32, 64).into(), Training, &[16, 64, 112, 112], 3, 3),
        (GroupNorm::new(32, 512).into(), Training, &[16, 512, 16, 16], 2, 3),
        (GroupNorm::new(32, 64).affine(false).into(), Training, &[16, 64, 112, 112], 3, 3),
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
            let pass = Pass::backward(1, Gradient::Replaced, Gradient::Replaced);
            let plan = Plan::new(&spec, &geometry, DType::F32, caps, Strategy::default(), pass).unwrap();
            assert_eq!(plan.dispatches(), dispatches, "{spec:?} {mode:?} {shape:?} {caps:?}\n{plan}");
        }
    }
}

/// A frozen layer costs no sums for its parameters, and the first layer of a net no dx.
#[test]
fn what_nobody_wants_is_not_computed() {
    let specs: [(NormSpec, &[usize]); 7] = [
        (LayerNorm::new([1024]).into(), &[4096, 1024]),
        (LayerNorm::new([100_001]).into(), &[64, 100_001]),
        (RmsNorm::new([64]).into(), &[70_000, 64]),
        (BatchNorm::new(64).into(), &[32, 64, 56, 56]),
        (BatchNorm::new(256).into(), &[65_536, 256]),
        (GroupNorm::new(8, 64).into(), &[16, 64, 28, 28]),
        (InstanceNorm::new(64).affine(true).track_running_stats(true).into(), &[16, 64, 28, 28]),
    ];
    for (spec, shape) in specs {
        for mode in [Mode::Training, Mode::Evaluation] {
            let geometry = Geometry::new(&spec, mode, shape).unwrap();
            for (caps, dtype) in devices().iter().flat_map(|caps| [(caps, DType::F32), (caps, DType::F16)]) {
                let plan = |input, parameters| {
                    let pass = Pass::backward(1, input, parameters);
                    Plan::new(&spec, &geometry, dtype, caps, Strategy::default(), pass).unwrap()
                };
                let bound = |plan: &Plan| -> Vec<Binding> {
                    plan.steps.iter().flat_map(|step| step.kernel.bindings()).map(|(binding, _)| binding).collect()
                };
                let (unwanted, replaced) = (Gradient::Unwanted, Gradient::Replaced);
                let [dx, parameters] = [plan(replaced, unwanted), plan(unwanted, replaced)];
                let of_parameters = [Binding::WeightGradient, Binding::BiasGradient];
                assert!(!bound(&dx).iter().any(|binding| of_parameters.contains(binding)), "{spec:?}\n{dx}");
                assert!(!bound(&parameters).contains(&Binding::Dx), "{spec:?}\n{parameters}");
                assert!(bound(&dx).contains(&Binding::Dx) && bound(&parameters).contains(&of_parameters[0]));
                assert!(plan(unwanted, unwanted).steps.is_empty());
                let reads = |plan: &Plan| bound(plan).iter().filter(|&&binding| binding == Binding::Dy).count();
                let all = reads(&plan(replaced, replaced));
                assert!(reads(&parameters) <= all && reads(&dx) <= all.max(2), "{spec:?}\n{dx}{parameters}");
                if mode == Mode::Evaluation && geometry.source == gpunorm::unstable::Source::Running {
                    assert_eq!(reads(&dx), 1, "{spec:?}\n{dx}");
                }
            }
        }
    }
}
