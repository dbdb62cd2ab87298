//! The benches' CPU baseline is held to the oracle, as the kernels are.

use gpunorm::unstable::Geometry;
use gpunorm::{
    BatchNorm, DType, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm, SwitchableNorm, reference,
};

use ndarray::ArrayD;

use super::data;

#[path = "../../benches/cpu/mod.rs"]
mod cpu;

fn cases() -> [(NormSpec, &'static [usize]); 26] {
    [
        (LayerNorm::new([1]).into(), &[7, 1]),
        (LayerNorm::new([3]).into(), &[20_000, 3]),
        (LayerNorm::new([67]).into(), &[33, 67]),
        (LayerNorm::new([5000]).into(), &[40, 5000]),
        (LayerNorm::new([200_001]).into(), &[1, 200_001]),
        (RmsNorm::new([8]).into(), &[21, 8]),
        (RmsNorm::new([67]).into(), &[33, 67]),
        (RmsNorm::new([70_000]).into(), &[3, 70_000]),
        (GroupNorm::new(3, 6).into(), &[25, 6, 2]),
        (GroupNorm::new(3, 6).into(), &[4, 6, 9, 7]),
        (GroupNorm::new(2, 8).into(), &[1, 8, 150, 151]),
        (InstanceNorm::new(5).affine(true).into(), &[3, 5, 31]),
        (InstanceNorm::new(5).affine(true).into(), &[9000, 5, 2]),
        (InstanceNorm::new(2).affine(true).into(), &[1, 2, 300, 301]),
        (BatchNorm::new(6).into(), &[5, 6, 11, 13]),
        (BatchNorm::new(6).into(), &[5, 6, 7, 7]),
        (BatchNorm::new(37).into(), &[5000, 37]),
        (BatchNorm::new(1).into(), &[2, 1]),
        (SwitchableNorm::new(6).into(), &[4, 6, 9, 7]),
        (SwitchableNorm::new(4).into(), &[300, 4, 1]),
        (SwitchableNorm::new(3).into(), &[5000, 3, 5]),
        (SwitchableNorm::new(3).into(), &[2, 3, 40, 40]),
        (BatchNorm::new(6).channels_last().into(), &[5, 11, 13, 6]),
        (GroupNorm::new(3, 6).channels_last().into(), &[4, 9, 7, 6]),
        (SwitchableNorm::new(6).channels_last().into(), &[4, 9, 7, 6]),
        (LayerNorm::new(67).channels_first().into(), &[3, 67, 5, 3]),
    ]
}

/// Those that the baseline has.
fn modes(spec: &NormSpec) -> &'static [Mode] {
    match spec {
        NormSpec::Switchable(_) => &[Mode::Training],
        _ => &[Mode::Training, Mode::Evaluation],
    }
}

fn close(found: &[f32], expected: &ArrayD<f64>, tolerances: &ArrayD<f64>, about: &str) {
    assert_eq!(found.len(), expected.len(), "{about}");
    for ((&found, wanted), tolerance) in found.iter().zip(expected).zip(tolerances) {
        let error = (f64::from(found) - wanted).abs();
        assert!(error <= *tolerance, "{about}: {found} for {wanted}");
    }
}

#[test]
fn agrees_with_the_oracle() {
    for (spec, shape) in cases() {
        for kind in ["normal", "mean 1e2", "mean 1e6"] {
            let x = data::values(kind, shape, 3);
            for &mode in modes(&spec) {
                // A new layer's running statistics are the same in f32 and in f64.
                let mut state = reference::State::new(&spec).unwrap();
                let parameters = state.weight.as_ref().unwrap().len();
                let expected = reference::forward(&spec, mode, &mut state, &x.mapv(f64::from)).unwrap();
                let geometry = Geometry::new(&spec, mode, shape).unwrap();
                let mut y = vec![f32::NAN; x.len()];
                cpu::Cpu::new(&spec, mode, parameters).forward(&geometry, x.as_slice().unwrap(), &mut y);
                let about = format!("{spec:?} {shape:?} {kind} {mode:?}");
                close(&y, &expected.output, &expected.tolerance(DType::F32), &about);
            }
        }
    }
}

#[test]
fn gradients_agree_with_the_oracle() {
    for (spec, shape) in cases() {
        for kind in ["normal", "mean 1e2", "mean 1e6"] {
            let (x, dy) = (data::values(kind, shape, 3), data::values("normal", shape, 4));
            for &mode in modes(&spec) {
                let state = reference::State::new(&spec).unwrap();
                let [x64, dy64] = [&x, &dy].map(|array| array.mapv(f64::from));
                let expected = reference::backward(&spec, mode, &state, &x64, &dy64).unwrap();
                let geometry = Geometry::new(&spec, mode, shape).unwrap();
                let (x, dy) = (x.as_slice().unwrap(), dy.as_slice().unwrap());
                let mut dx = vec![f32::NAN; x.len()];
                let layer = cpu::Cpu::new(&spec, mode, state.weight.as_ref().unwrap().len());
                let saved = layer.save(&geometry, x);
                let found = layer.backward(&geometry, &saved, [x, dy], &mut dx);
                let found = [dx, found.weight, found.bias, found.mean_weight, found.var_weight];
                for ((name, wanted), found) in expected.named().into_iter().zip(found) {
                    let about = format!("{name} of {spec:?} {shape:?} {kind} {mode:?}");
                    match wanted {
                        Some(wanted) => close(&found, &wanted.value, &wanted.tolerance(DType::F32), &about),
                        None => assert!(found.is_empty(), "{about}"),
                    }
                }
            }
        }
    }
}
