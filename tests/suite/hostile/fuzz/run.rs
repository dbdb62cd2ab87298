//! A case on a device, against what it must give.

use std::fmt;

use gpunorm::{DType, Error, Gpu, GpuNorm, Gradients, Mode, NormSpec, Saved, StateDict, Tensor};
use ndarray::{ArrayD, IxDyn};

use super::super::super::checks;
use super::case::{Arrays, Case};
use super::exact::{Exact, Wanted};
use super::layer::Kind;
use super::placed::Placed;

/// What a case must give, whatever it runs on.
pub struct Expected {
    x: Vec<f32>,
    dy: Vec<f32>,
    arrays: Arrays,
    /// None of an empty input.
    output: Option<Wanted>,
    running: Option<[Wanted; 2]>,
    gradients: [Option<Wanted>; 5],
    /// What adapters that flush subnormal numbers may lose.
    lost: f64,
}

/// Why a case did not give it.
#[derive(Debug)]
pub enum Failure {
    Refused(Error),
    Wrong(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Failure::Refused(error) => write!(f, "refused: {error}"),
            Failure::Wrong(reason) => f.write_str(reason),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Refused(error)
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Failure {
        Failure::Wrong(reason)
    }
}

/// A forward to look at, one to go back from, and the way back.
struct Done {
    y: Tensor,
    again: Tensor,
    gradients: Gradients,
    placed: Vec<(&'static str, Placed)>,
}

/// What a result may differ by besides rounding: what it was added to, and what adapters that flush subnormal numbers lose.
#[derive(Debug, Clone, Copy)]
pub struct Off {
    pub before: f64,
    pub lost: f64,
}

/// Training forwards of a run.
pub const FORWARDS: usize = 2;
/// What gradients are added to.
const BEFORE: f32 = 0.75;

impl Expected {
    pub fn of(case: &Case) -> Expected {
        let [x, dy] = case.tensors();
        let arrays = case.arrays();
        if x.is_empty() {
            let zeros = |has: bool, len: usize| {
                has.then(|| Wanted { values: vec![0.0; len], magnitudes: vec![0.0; len], roundings: 1.0 })
            };
            let (channels, mixed) = (case.layer.channels, case.layer.mixed());
            let gradients = [
                None,
                zeros(case.layer.has_weight(), channels),
                zeros(case.layer.has_bias(), channels),
                zeros(mixed > 0, mixed),
                zeros(mixed > 0, mixed),
            ];
            return Expected { x, dy, arrays, output: None, running: None, gradients, lost: 0.0 };
        }
        let exact = Exact::new(&case.layer, &arrays, &case.shape, case.mode, &x);
        let (output, running) = (Some(exact.output()), case.moves().then(|| exact.running(FORWARDS)));
        let gradients = exact.gradients(&dy);
        let most = |values: &[f64]| values.iter().fold(1.0, |most: f64, value| most.max(value.abs()));
        let sum: f64 = dy.iter().map(|dy| f64::from(dy.abs())).sum();
        let lost = f64::from(f32::MIN_POSITIVE) * most(&exact.r).powi(2) * most(&arrays.weight) * (1.0 + sum);
        Expected { output, running, gradients, lost, x, dy, arrays }
    }

    /// Runs the case on a device of `gpu` with the case's numbers, with shader checks too where a kernel is new.
    pub fn check(&self, case: &Case, gpu: &Gpu) -> Result<(), Failure> {
        self.check_on(case, gpu)?;
        match checks::twin(gpu, &case.plans(&case.caps(gpu.caps()))) {
            Some(twin) => self.check_on(case, &twin),
            None => Ok(()),
        }
    }

    fn check_on(&self, case: &Case, gpu: &Gpu) -> Result<(), Failure> {
        let restricted = gpu.with_caps(case.caps(gpu.caps()));
        let norm = layer(case, case.layer.spec(&case.shape), &self.arrays, &restricted)?;
        let done = if case.wrapped { self.wrapped(case, &norm)? } else { self.own(case, &norm)? };
        let read_near = |what: &str, tensor: &Tensor, wanted: &Wanted, before: f32| {
            let mut found = tensor.to_array()?.into_raw_vec_and_offset().0;
            if tensor.shape() == case.given_shape() {
                found = case.taken(&found);
            }
            let off = Off { before: f64::from(before), lost: self.lost };
            near(what, &found, wanted, tensor.dtype(), off).map_err(Failure::from)
        };
        if let Some(output) = &self.output {
            read_near("output", &done.y, output, 0.0)?;
            read_near("output of the saved forward", &done.again, output, 0.0)?;
        }
        let before = if case.wrapped && case.accumulate { BEFORE } else { 0.0 };
        for ((what, found), wanted) in done.gradients.named().into_iter().zip(&self.gradients) {
            match (found, wanted) {
                (Some(found), Some(wanted)) => read_near(&format!("{what}'s gradient"), found, wanted, before)?,
                (Some(_), None) if what == "input" => {}
                (None, None) => {}
                _ => return Err(format!("{what}'s gradient is there: {}", found.is_some()).into()),
            }
        }
        check_state(case, &self.arrays, self.running.as_ref(), &norm, Off { before: 0.0, lost: self.lost })?;
        for (what, placed) in &done.placed {
            let check = if matches!(*what, "x" | "dy") { Placed::check_unchanged } else { Placed::check_guard };
            check(placed, gpu).map_err(|reason| format!("around {what}: {reason}"))?;
        }
        Ok(())
    }

    /// By tensors of the crate's.
    fn own(&self, case: &Case, norm: &GpuNorm) -> Result<Done, Failure> {
        let tensor = |values: &[f32]| {
            let array = ArrayD::from_shape_vec(case.given_shape(), case.given(values)).unwrap();
            Tensor::from_array_as(norm.gpu(), &array, case.dtype)
        };
        let (x, dy) = (tensor(&self.x)?, tensor(&self.dy)?);
        let y = norm.forward_tensor(&x)?;
        let (again, saved) = norm.forward_saved(&x)?;
        let gradients = norm.backward(&dy, &saved)?;
        Ok(Done { y, again, gradients, placed: vec![] })
    }

    /// Recorded into one encoder, between tensors of the app's.
    fn wrapped(&self, case: &Case, norm: &GpuNorm) -> Result<Done, Failure> {
        let gpu = norm.gpu();
        let mut placed = vec![];
        let mut place = |what, shape: &[usize], values: &[f32], dtype| -> Result<Tensor, Failure> {
            // Each elsewhere.
            let offset = gpu.caps().alignment.next_multiple_of(16) * (1 + placed.len() as u64 % 3);
            placed.push((what, Placed::new(gpu, offset, shape, values, dtype)?));
            Ok(placed[placed.len() - 1].1.tensor.clone())
        };
        let filled = |tensor: &Tensor| vec![BEFORE; tensor.len()];
        let shape = &case.given_shape();
        let x = place("x", shape, &case.given(&self.x), case.dtype)?;
        let dy = place("dy", shape, &case.given(&self.dy), case.dtype)?;
        // What nothing is added to runs in place.
        let before = if case.accumulate { filled(&x) } else { case.given(&self.x) };
        let y = place("y", shape, &before, case.dtype)?;
        let again = place("y of the saved forward", shape, &filled(&x), case.dtype)?;
        let mut gradients = Gradients::new(place("dx", shape, &filled(&x), case.dtype)?).accumulate(case.accumulate);
        gradients = gradients.accumulate_input(case.accumulate);
        let mut of = |what, like: Option<&Tensor>| {
            like.map(|like| place(what, like.shape(), &filled(like), DType::F32)).transpose()
        };
        gradients.weight = of("the weight's gradient", norm.weight())?;
        gradients.bias = of("the bias's gradient", norm.bias())?;
        gradients.mean_weight = of("mean_weight's gradient", norm.mean_weight())?;
        gradients.var_weight = of("var_weight's gradient", norm.var_weight())?;
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        norm.encode_forward(&mut encoder, if case.accumulate { &x } else { &y }, &y)?;
        let saved: Saved = norm.encode_forward_saved(&mut encoder, &x, &again)?;
        norm.encode_backward(&mut encoder, &dy, &saved, &gradients)?;
        gpu.queue().submit([encoder.finish()]);
        Ok(Done { y, again, gradients, placed })
    }
}

/// The case's layer with what it has.
pub fn layer(case: &Case, spec: NormSpec, arrays: &Arrays, gpu: &Gpu) -> Result<GpuNorm, Error> {
    let mut norm = GpuNorm::new(gpu, spec)?;
    let parameters = match case.layer.is_trailing() {
        true => case.shape[case.shape.len() - case.layer.trailing..].to_vec(),
        false => vec![case.layer.channels],
    };
    let mut state = StateDict::new();
    let mut insert = |name: &str, has: bool, shape: &[usize], values: &[f64]| {
        let values = values.iter().map(|&value| value as f32).collect();
        let array = has.then(|| ArrayD::from_shape_vec(IxDyn(shape), values).unwrap());
        array.map(|array| state.insert(name, array));
    };
    let (mixed, tracks) = (case.layer.mixed(), case.layer.tracks());
    insert("weight", case.layer.has_weight(), &parameters, &arrays.weight);
    insert("bias", case.layer.has_bias(), &parameters, &arrays.bias);
    insert("mean_weight", mixed > 0, &[mixed], &arrays.mean_weight);
    insert("var_weight", mixed > 0, &[mixed], &arrays.var_weight);
    insert("running_mean", tracks, &parameters, &arrays.running_mean);
    insert("running_var", tracks, &parameters, &arrays.running_var);
    insert("num_batches_tracked", tracks, &[], &[arrays.batches]);
    norm.load_state_dict(&state, "")?;
    norm.set_strategy(case.strategy);
    if case.mode == Mode::Evaluation {
        norm.eval();
    }
    Ok(norm)
}

/// The layer has what it had, and running statistics that have moved to `running` where they do.
pub fn check_state(
    case: &Case,
    arrays: &Arrays,
    running: Option<&[Wanted; 2]>,
    norm: &GpuNorm,
    off: Off,
) -> Result<(), Failure> {
    let found = norm.state_dict("")?;
    let array = |name: &str| found.get(name).into_iter().flatten().copied().collect::<Vec<f32>>();
    let same = |name: &str, wanted: &[f64]| {
        let same = array(name).into_iter().map(f64::from).eq(wanted.iter().copied());
        if same { Ok(()) } else { Err(Failure::Wrong(format!("{name} has changed"))) }
    };
    same("weight", &arrays.weight)?;
    same("bias", &arrays.bias)?;
    same("mean_weight", &arrays.mean_weight)?;
    same("var_weight", &arrays.var_weight)?;
    match running {
        None => {
            same("running_mean", &arrays.running_mean)?;
            same("running_var", &arrays.running_var)?;
        }
        Some([mean, var]) => {
            near("running_mean", &array("running_mean"), mean, DType::F32, off)?;
            near("running_var", &array("running_var"), var, DType::F32, off)?;
        }
    }
    let counts = case.mode == Mode::Training && case.layer.kind != Kind::Instance;
    let batches = arrays.batches + if counts { FORWARDS as f64 } else { 0.0 };
    let wanted = if case.layer.tracks() { vec![batches] } else { vec![] };
    same("num_batches_tracked", &wanted)
}

/// Fails by the worst element, if any is out of tolerance.
pub fn near(what: &str, found: &[f32], wanted: &Wanted, dtype: DType, Off { before, lost }: Off) -> Result<(), String> {
    if found.len() != wanted.values.len() {
        return Err(format!("{what} has {} elements, expected {}", found.len(), wanted.values.len()));
    }
    let mut worst = (1.0, String::new());
    for (i, &found) in found.iter().enumerate() {
        let (found, value) = (f64::from(found), wanted.values[i] + before);
        let tolerance = wanted.tolerance(i, before, dtype) + lost;
        // What f16 has no room for.
        let overflows = dtype == DType::F16 && found == value.signum() * f64::INFINITY;
        let right = found == value || overflows && value.abs() + tolerance >= 65520.0;
        let off = if right { 0.0 } else { (found - value).abs() / tolerance };
        if off > worst.0 || off.is_nan() {
            worst = (
                off,
                format!("{what}, element {i}: {found:e} for {value:e}, {off:.2} times the tolerance {tolerance:e}"),
            );
        }
    }
    if worst.1.is_empty() { Ok(()) } else { Err(worst.1) }
}
