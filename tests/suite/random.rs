//! Forwards and backwards of random layers over random shapes, values, element types and strategies, against the oracle, on every
//! adapter.

use gpunorm::unstable::{Caps, Geometry, Route, Strategy, Team};
use gpunorm::{DType, Error, Mode, Plan};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::{adapters, backward, case, data, settings};

#[test]
fn random_layers_agree_with_the_oracle() {
    let sizes = (1usize..7, 1usize..10, 1usize..30, 1usize..40, 2usize..5);
    let route = prop::option::of(prop::sample::select(vec![Route::Fused, Route::Split]));
    let team = prop::option::of(prop::sample::select(Team::ALL.to_vec()));
    let lanes = prop::option::of(prop::sample::select(vec![1, 2, 16, 200]));
    let values =
        prop::sample::select(vec!["normal", "uniform", "mean 1e4", "mean -1e6", "first outlier", "constant 100.1"]);
    let dtype = prop::sample::select(vec![DType::F32, DType::F32, DType::F16, DType::BF16]);
    let choices = (0usize..96, any::<bool>(), any::<bool>(), dtype, values, (route, team, lanes));
    let mut runner = TestRunner::new(settings::cases(150));
    let ran = std::cell::Cell::new(0);
    let outcome = runner.run(
        &(sizes, choices),
        |((n, c, h, w, rank), (spec, training, hardware, dtype, values, (route, team, lanes)))| {
            let shape = &[n, c, h, w][..rank];
            let mut specs = data::channel_specs(c);
            specs.extend((1..rank).flat_map(|axis| data::trailing_specs(shape, axis)));
            specs.extend(data::layout_specs(shape));
            let spec = &specs[spec % specs.len()];
            let mode = if training { Mode::Training } else { Mode::Evaluation };
            let values = if dtype == DType::F32 { values } else { "normal" };
            let Ok(geometry) = Geometry::new(spec, mode, shape) else { return Ok(()) };
            let x = data::values(values, shape, geometry.row_len);
            let outputs = case::Output::new(spec, mode, data::state(spec), &x, dtype);
            let gradients = backward::case(spec, mode, shape, values, dtype).expect("a geometry");
            for (name, gpu) in adapters::all() {
                let gpu = gpu.with_caps(Caps { software: !hardware && gpu.caps().software, ..*gpu.caps() });
                let strategy = Strategy { route, team, lanes };
                if let Err(Error::Strategy { .. }) = Plan::forward(spec, &geometry, dtype, gpu.caps(), strategy) {
                    continue;
                }
                ran.set(ran.get() + 1);
                outputs.check(&gpu, strategy).map_err(|reason| {
                    TestCaseError::fail(format!("{name}, {spec:?}, {shape:?}, {values}: {reason}"))
                })?;
                if let Some(Err(reason)) = gradients.check_if_planned(&gpu, strategy) {
                    let what =
                        format!("backward, {name}, {spec:?}, {mode:?}, {shape:?}, {dtype}, {values}, {strategy:?}");
                    return Err(TestCaseError::fail(format!("{what}: {reason}")));
                }
            }
            Ok(())
        },
    );
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(ran.get() > 60 * adapters::count(), "only {} cases ran", ran.get());
}
