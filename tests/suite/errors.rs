//! Bad input: a typed error with these words, and nothing changed. What could do worse than panic is in `hostile`.

use std::fmt::Debug;

use gpunorm::reference::State;
use gpunorm::unstable::{Caps, Geometry, Route, Strategy, Team};
use gpunorm::{
    BatchNorm, DType, Error, Gpu, GpuNorm, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm, SwitchableNorm,
    Tensor,
};
use ndarray::ArrayD;

use super::refusals::{self, Refusal, eps_of};
use super::{adapters, data};

/// The call fails with this variant and these words.
macro_rules! refused {
    ($call:expr, $variant:pat, $told:expr) => {
        match $call {
            Err(error @ $variant) => assert_eq!(error.to_string(), $told),
            other => panic!("expected \"{}\", got {other:?}", $told),
        }
    };
}
pub(crate) use refused;

// ---- what a layer is

#[test]
fn layers_that_cannot_be() {
    let check = |spec: NormSpec, told: &str| {
        let refused = spec.validate().unwrap_err();
        assert_eq!(refused.to_string(), told);
        for also in [GpuNorm::new(adapters::first(), spec.clone()).map(drop), State::new(&spec).map(drop)] {
            assert_eq!(also.unwrap_err().to_string(), told);
        }
    };
    check(BatchNorm::new(0).into(), "batch norm: the number of channels must be at least 1, got 0");
    check(InstanceNorm::new(0).into(), "instance norm: the number of channels must be at least 1, got 0");
    check(SwitchableNorm::new(0).into(), "switchable norm: the number of channels must be at least 1, got 0");
    check(GroupNorm::new(0, 0).into(), "group norm: the number of channels must be at least 1, got 0");
    check(GroupNorm::new(3, 0).into(), "group norm: the number of channels must be at least 1, got 0");
    check(GroupNorm::new(0, 6).into(), "group norm: the number of groups must be at least 1, got 0");
    check(GroupNorm::new(4, 6).into(), "group norm: 4 groups do not divide 6 channels");
    check(GroupNorm::new(usize::MAX, 6).into(), "group norm: 18446744073709551615 groups do not divide 6 channels");
    check(LayerNorm::new([]).into(), "layer norm: normalized_shape must have at least one dimension, got []");
    check(RmsNorm::new([]).into(), "rms norm: normalized_shape must have at least one dimension, got []");
    check(
        SwitchableNorm::new(6).instance_statistics(false).batch_statistics(false).into(),
        "switchable norm: instance and batch statistics are both off, which leaves only layer norm; keep one of them \
         or use LayerNorm",
    );
    for (norm, spec) in [
        ("layer norm", NormSpec::from(LayerNorm::new([2, 3]).channels_first())),
        ("rms norm", RmsNorm::new([2, 3]).channels_first().into()),
    ] {
        let told = "channels_first normalizes over one dimension, the channels, got normalized_shape [2, 3]";
        check(spec, &format!("{norm}: {told}"));
    }
    check(
        LayerNorm::new([]).channels_first().into(),
        "layer norm: normalized_shape must have at least one dimension, got []",
    );
    for spec in data::channel_specs(6).into_iter().chain(data::trailing_specs(&[2, 6], 1)) {
        for (eps, text) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
            let told = format!("{}: eps must be a finite number, got {text}", spec.name());
            check(eps_of(&spec, eps), &told);
        }
        // Everything else is torch's to accept: 0 and negative eps, any momentum.
        for eps in [0.0, -1.0, f32::MAX, f32::MIN_POSITIVE] {
            GpuNorm::new(adapters::first(), eps_of(&spec, eps)).unwrap();
        }
    }
    refused!(
        BatchNorm::new(0).validated(),
        Error::ZeroSize { .. },
        "batch norm: the number of channels must be at least 1, got 0"
    );
    for momentum in [f32::NAN, f32::INFINITY, -1.0, 2.0] {
        GpuNorm::new(adapters::first(), BatchNorm::new(3).momentum(momentum)).unwrap();
    }
    GpuNorm::new(adapters::first(), LayerNorm::new([0])).unwrap().state_dict("").unwrap();
}

trait Validated {
    fn validated(self) -> Result<(), Error>;
}

impl<T: Into<NormSpec>> Validated for T {
    fn validated(self) -> Result<(), Error> {
        self.into().validate()
    }
}

// ---- what goes in

/// Refused by every way in, and after it everything is as it was.
fn refuse(spec: &NormSpec, mode: Mode, shape: &[usize], told: &str) {
    for (name, gpu) in adapters::all() {
        let mut norm = GpuNorm::new(gpu, spec.clone()).unwrap();
        if mode == Mode::Evaluation {
            norm.eval();
        }
        let before = norm.state_dict("").unwrap();
        let refused = norm.plan(shape, DType::F32).map(|plan| plan.to_string()).expect_err(told);
        assert_eq!(refused.to_string(), told, "{name}");
        assert_eq!(Geometry::new(spec, mode, shape).unwrap_err(), refused);
        let small = shape.iter().try_fold(1usize, |all, &size| all.checked_mul(size)).is_some_and(|all| all < 1 << 20);
        if small {
            let x = ArrayD::<f32>::ones(shape);
            let tensor = Tensor::from_array(gpu, &x).unwrap();
            let y = Tensor::zeros(gpu, shape, DType::F32).unwrap();
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            let calls = [
                norm.forward(&x).map(drop),
                norm.forward_tensor(&tensor).map(drop),
                norm.encode_forward(&mut encoder, &tensor, &y),
                norm.profile(&tensor, &y).map(drop),
                gpunorm::reference::forward(spec, mode, &mut State::new(spec).unwrap(), &x.mapv(f64::from)).map(drop),
            ];
            gpu.queue().submit([encoder.finish()]);
            for call in calls {
                assert_eq!(call.unwrap_err(), refused, "{name}");
            }
        }
        assert_eq!(norm.state_dict("").unwrap(), before, "{name}: {told}");
    }
}

#[test]
fn shapes_that_a_layer_does_not_take() {
    for Refusal { spec, mode, shape, told } in refusals::shapes() {
        refuse(&spec, mode, &shape, &told);
    }
}

#[test]
fn strategies_that_cannot_run() {
    let gpu = adapters::first();
    let strategy = |route, team| Strategy { route, team, lanes: None };
    let plan = |gpu: &Gpu, spec: NormSpec, strategy| {
        let mut norm = GpuNorm::new(gpu, spec).unwrap();
        norm.set_strategy(strategy);
        norm.plan(&[4, 6, 50], DType::F32).map(drop)
    };
    let without = gpu.with_caps(Caps { subgroup: None, ..*gpu.caps() });
    let told = "the forced strategy cannot run: this device has no subgroups on";
    refused!(
        plan(&without, BatchNorm::new(6).into(), strategy(None, Some(Team::Subgroup))),
        Error::Strategy { .. },
        told
    );
    let told = "the forced strategy cannot run: switchable norm has no fused route";
    refused!(
        plan(gpu, SwitchableNorm::new(6).into(), strategy(Some(Route::Fused), None)),
        Error::Strategy { .. },
        told
    );
    // 1200 of the row, and up to 240 before it to where a binding may begin.
    let told = "a row of this shape in one binding needs 1440 bytes, this device allows 1024";
    let small = gpu.with_caps(Caps { max_binding: 1024, alignment: 256, ..*gpu.caps() });
    refused!(
        plan(&small, LayerNorm::new([6, 50]).affine(false).into(), strategy(Some(Route::Split), None)),
        Error::TooLarge { .. },
        told
    );
}

/// Keeps `Debug` of every public type in use: messages of apps print them.
#[test]
fn everything_can_be_printed() {
    fn print(value: &dyn Debug) -> String {
        format!("{value:?}")
    }
    let gpu = adapters::first();
    let norm = GpuNorm::new(gpu, BatchNorm::new(6)).unwrap();
    let tensor = Tensor::zeros(gpu, &[2, 6], DType::F32).unwrap();
    let printed =
        [print(gpu), print(&norm), print(&tensor), print(&norm.plan(&[2, 6], DType::F32).unwrap()), print(gpu.caps())];
    // What they are, not all that hangs on them.
    assert!(printed.iter().all(|text| !text.is_empty() && text.len() < 2000), "{printed:?}");
    assert_eq!(printed[2], "Tensor { shape: [2, 6], strides: [6, 1], dtype: F32, offset: 0, .. }");
    assert!(printed[0].starts_with("Gpu { name: ") && printed[1].starts_with("GpuNorm { spec: Batch(BatchNorm { "));
}
