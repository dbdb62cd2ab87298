//! The benches' CPU baseline is held to the oracle, as the kernels are.

use gpunorm::geometry::Geometry;
use gpunorm::{
    BatchNorm, DType, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm, SwitchableNorm, reference,
};

use super::data;

#[path = "../../benches/cpu/mod.rs"]
mod cpu;

#[test]
fn agrees_with_the_oracle() {
    let cases: [(NormSpec, &[usize]); 16] = [
        (LayerNorm::new([1]).into(), &[7, 1]),
        (LayerNorm::new([67]).into(), &[33, 67]),
        (LayerNorm::new([5000]).into(), &[40, 5000]),
        (LayerNorm::new([200_001]).into(), &[1, 200_001]),
        (RmsNorm::new([67]).into(), &[33, 67]),
        (RmsNorm::new([70_000]).into(), &[3, 70_000]),
        (GroupNorm::new(3, 6).into(), &[4, 6, 9, 7]),
        (GroupNorm::new(2, 8).into(), &[1, 8, 150, 151]),
        (InstanceNorm::new(5).affine(true).into(), &[3, 5, 31]),
        (InstanceNorm::new(2).affine(true).into(), &[1, 2, 300, 301]),
        (BatchNorm::new(6).into(), &[5, 6, 11, 13]),
        (BatchNorm::new(6).into(), &[5, 6, 7, 7]),
        (BatchNorm::new(37).into(), &[5000, 37]),
        (BatchNorm::new(1).into(), &[2, 1]),
        (SwitchableNorm::new(6).into(), &[4, 6, 9, 7]),
        (SwitchableNorm::new(3).into(), &[2, 3, 40, 40]),
    ];
    for (spec, shape) in cases {
        for kind in ["normal", "mean 1e2", "mean 1e6"] {
            let x = data::values(kind, shape, 3);
            for mode in [Mode::Training, Mode::Evaluation] {
                if mode == Mode::Evaluation && matches!(spec, NormSpec::Switchable(_)) {
                    continue;
                }
                // A new layer's running statistics are the same in f32 and in f64.
                let mut state = reference::State::new(&spec).unwrap();
                let parameters = state.weight.as_ref().unwrap().len();
                let expected = reference::forward(&spec, mode, &mut state, &x.mapv(f64::from)).unwrap();
                let geometry = Geometry::new(&spec, mode, shape).unwrap();
                let mut y = vec![f32::NAN; x.len()];
                cpu::Cpu::new(&spec, mode, parameters).forward(&geometry, x.as_slice().unwrap(), &mut y);
                let tolerances = expected.tolerance(DType::F32);
                for ((&found, wanted), tolerance) in y.iter().zip(&expected.output).zip(&tolerances) {
                    let error = (f64::from(found) - wanted).abs();
                    assert!(error <= *tolerance, "{spec:?} {shape:?} {kind} {mode:?}: {found} for {wanted}");
                }
            }
        }
    }
}
