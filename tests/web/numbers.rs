//! The suite's cases of forwards and backwards.

use gpunorm::unstable::{Geometry, Strategy};
use gpunorm::{DType, Error, Gpu, Mode, NormSpec, Plan};

use crate::case::{Backward, GRADIENTS, Outcome, Output};
use crate::data::{self, CHANNEL_SHAPES, LAYOUT_SHAPES, MODES, Random, TRAILING_SHAPES, turn};
use crate::progress;

type Gpus<'a> = [(&'a str, Gpu); 2];

/// What a list of checks comes to.
#[derive(Default)]
struct Failed {
    checks: usize,
    reasons: Vec<String>,
}

impl Failed {
    fn add(&mut self, what: impl FnOnce() -> String, outcome: Outcome) {
        self.checks += 1;
        self.reasons.extend(outcome.err().map(|reason| format!("{}: {reason}", what())));
    }

    /// Nothing failed, of at least so many checks.
    fn none(self, least: usize) -> Outcome {
        progress(&format!("{} checks", self.checks));
        match self.reasons.len() {
            0 if self.checks >= least => Ok(()),
            0 => Err(format!("only {} checks ran", self.checks)),
            failed => {
                Err(format!("{failed} of {} failed:\n{}", self.checks, self.reasons[..failed.min(40)].join("\n")))
            }
        }
    }
}

/// A layer, in a mode, for a shape.
struct Case<'a> {
    spec: NormSpec,
    mode: Mode,
    shape: &'a [usize],
    values: &'static str,
    dtype: DType,
}

impl Case<'_> {
    fn x(&self) -> Option<ndarray::ArrayD<f32>> {
        let geometry = Geometry::new(&self.spec, self.mode, self.shape).ok()?;
        Some(data::values(self.values, self.shape, geometry.row_len))
    }

    async fn forward(&self, gpus: &Gpus<'_>, failed: &mut Failed) {
        let Some(x) = self.x() else { return };
        let case = Output::new(&self.spec, self.mode, data::state(&self.spec), &x, self.dtype);
        for (place, gpu) in gpus {
            let outcome = case.run(gpu, Strategy::default()).await;
            failed.add(|| self.name(place), outcome);
        }
    }

    async fn backward(&self, gpus: &Gpus<'_>, failed: &mut Failed) {
        let Some(x) = self.x() else { return };
        let dy = data::values("normal", self.shape, 1).mapv(|value| 0.5 - value);
        let case = Backward::new(&self.spec, self.mode, data::state(&self.spec), &x, &dy, self.dtype);
        for (place, gpu) in gpus {
            let outcome = case.run(gpu, Strategy::default(), &GRADIENTS).await;
            failed.add(|| self.name(place), outcome);
        }
    }

    fn name(&self, place: &str) -> String {
        let Case { spec, mode, shape, values, dtype } = self;
        format!("{place}, {spec:?}, {mode:?}, {shape:?}, {dtype}, {values}")
    }
}

/// Every layer of the suite, in every mode, for every shape.
fn cases() -> Vec<Case<'static>> {
    let channels = CHANNEL_SHAPES.map(|shape| (shape, data::channel_specs(shape[1])));
    let trailing = TRAILING_SHAPES.map(|shape| (shape, data::trailing_specs(shape, shape.len() - 1)));
    let layouts = LAYOUT_SHAPES.map(|shape| (shape, data::layout_specs(shape)));
    let mut cases = vec![];
    for (shape, specs) in channels.into_iter().chain(trailing).chain(layouts) {
        for (index, spec) in specs.into_iter().enumerate() {
            let (dtype, values) = turn(index, shape);
            cases.extend(MODES.map(|mode| Case { spec: spec.clone(), mode, shape, values, dtype }));
        }
    }
    cases
}

pub async fn forward(gpus: &Gpus<'_>) -> Outcome {
    let mut failed = Failed::default();
    for case in cases() {
        progress(&case.name("forward"));
        case.forward(gpus, &mut failed).await;
    }
    failed.none(600)
}

pub async fn backward(gpus: &Gpus<'_>) -> Outcome {
    let mut failed = Failed::default();
    for case in cases() {
        progress(&case.name("backward"));
        // Evaluation is the same where nothing is tracked.
        let geometry = |mode| Geometry::new(&case.spec, mode, case.shape).ok();
        if case.mode == Mode::Training || geometry(case.mode) != geometry(Mode::Training) {
            case.backward(gpus, &mut failed).await;
        }
    }
    failed.none(400)
}

/// Random layers, shapes, values and element types, both passes, as in the suite's `random`.
pub async fn random(gpus: &Gpus<'_>) -> Outcome {
    let (mut random, mut failed) = (Random::new(7), Failed::default());
    let values = ["normal", "uniform", "mean 1e4", "mean -1e6", "first outlier", "constant 100.1"];
    for number in 0..100 {
        let sizes = [6, 9, 29, 39].map(|most| 1 + random.below(most));
        let shape = &sizes[..2 + random.below(3)];
        let mut specs = data::channel_specs(shape[1]);
        specs.extend((1..shape.len()).flat_map(|axis| data::trailing_specs(shape, axis)));
        specs.extend(data::layout_specs(shape));
        let spec = specs.swap_remove(random.below(specs.len()));
        let mode = MODES[random.below(2)];
        let dtype = [DType::F32, DType::F32, DType::F16, DType::BF16][random.below(4)];
        let values = if dtype == DType::F32 { values[random.below(values.len())] } else { "normal" };
        let case = Case { spec, mode, shape, values, dtype };
        progress(&case.name(&format!("random {number}")));
        let planned = Geometry::new(&case.spec, mode, shape)
            .and_then(|geometry| Plan::forward(&case.spec, &geometry, dtype, gpus[0].1.caps(), Strategy::default()));
        if let Err(Error::Strategy { .. }) = planned {
            continue;
        }
        case.forward(gpus, &mut failed).await;
        case.backward(gpus, &mut failed).await;
    }
    failed.none(240)
}
