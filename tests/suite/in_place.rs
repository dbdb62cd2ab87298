//! Norms whose output is where their input is: to the bit what they give elsewhere, in every variant of a plan, and nothing else
//! changes.

use gpunorm::unstable::{Geometry, Strategy};
use gpunorm::{Activation, BatchNorm, Call, DType, Error, Gpu, GpuNorm, LayerNorm, Mode, NormSpec, Tensor};
use ndarray::ArrayD;

use super::data::{CHANNEL_SHAPES, MODES, TRAILING_SHAPES};
use super::errors::refused;
use super::guards::Guarded;
use super::variants;
use super::{adapters, compare, data};

/// A layer and what it runs on.
struct Case {
    spec: NormSpec,
    mode: Mode,
    dtype: DType,
    x: ArrayD<f32>,
    /// Added after the layer.
    c: Option<ArrayD<f32>>,
}

/// Nothing where the plan is refused, as it may be.
type Outcome = Result<Option<()>, String>;

impl Case {
    fn norm(&self, gpu: &Gpu, strategy: Strategy) -> Result<Option<GpuNorm>, String> {
        let Some(mut norm) = self.run(gpu, GpuNorm::new(gpu, self.spec.clone()))? else { return Ok(None) };
        norm.load_state_dict(&compare::state_dict(&data::state(&self.spec)), "").unwrap();
        norm.set_strategy(strategy);
        norm.set_mode(self.mode);
        Ok(Some(norm))
    }

    fn run<T>(&self, gpu: &Gpu, result: gpunorm::Result<T>) -> Result<Option<T>, String> {
        match result {
            Err(error) if variants::may_be_refused_beside(gpu, self.dtype, false, &error) => Ok(None),
            result => result.map(Some).map_err(|error| error.to_string()),
        }
    }

    /// Twice in place is twice elsewhere.
    fn check_forward(&self, gpu: &Gpu, strategy: Strategy) -> Outcome {
        let tensor = |array: &ArrayD<f32>| Tensor::from_array_as(gpu, array, self.dtype).unwrap();
        let (x, c) = (tensor(&self.x), self.c.as_ref().map(tensor));
        let Some(elsewhere) = self.norm(gpu, strategy)? else { return Ok(None) };
        let in_place = elsewhere.try_clone().unwrap();
        let Some(once) = self.run(gpu, with(elsewhere.call(), &c).forward_tensor(&x))? else { return Ok(None) };
        let twice = with(elsewhere.call(), &c).forward_tensor(&once).map_err(|error| error.to_string())?;
        let own = Guarded::new(gpu, x.shape(), self.dtype);
        own.tensor.copy_from(&x).unwrap();
        for _ in 0..2 {
            with(in_place.call(), &c).forward_in_place(&own.tensor).map_err(|error| error.to_string())?;
        }
        own.bytes(gpu)?;
        same("y", &own.tensor, &twice)?;
        let (found, expected) = (in_place.state_dict("").unwrap(), elsewhere.state_dict("").unwrap());
        if found == expected { Ok(Some(())) } else { Err("running statistics differ".into()) }
    }

    /// A backward whose dx is where dy is gives what it gives elsewhere.
    fn check_backward(&self, gpu: &Gpu, strategy: Strategy) -> Outcome {
        let tensor = |array: &ArrayD<f32>| Tensor::from_array_as(gpu, array, self.dtype).unwrap();
        let (x, c) = (tensor(&self.x), self.c.as_ref().map(tensor));
        let Some(norm) = self.norm(gpu, strategy)? else { return Ok(None) };
        let Some((_, saved)) = self.run(gpu, with(norm.call(), &c).forward_saved(&x))? else { return Ok(None) };
        let dy = tensor(&data::values("uniform", x.shape(), 1));
        let Some(elsewhere) = self.run(gpu, norm.backward(&dy, &saved))? else { return Ok(None) };
        let own = Guarded::new(gpu, x.shape(), self.dtype);
        own.tensor.copy_from(&dy).unwrap();
        let mut gradients = norm.zero_gradients(&saved).unwrap();
        gradients.input = Some(own.tensor.clone());
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        norm.encode_backward(&mut encoder, &own.tensor, &saved, &gradients).map_err(|error| error.to_string())?;
        gpu.queue().submit([encoder.finish()]);
        own.bytes(gpu)?;
        for ((what, found), (_, expected)) in gradients.named().into_iter().zip(elsewhere.named()) {
            found.zip(expected).map_or(Ok(()), |(found, expected)| same(what, found, expected))?;
        }
        Ok(Some(()))
    }
}

fn with<'a>(call: Call<'a>, c: &'a Option<Tensor>) -> Call<'a> {
    c.as_ref().map_or(call, |c| call.add_after(c))
}

/// Fails if one bit differs; NaN is NaN.
fn same(what: &str, found: &Tensor, expected: &Tensor) -> Result<(), String> {
    let [found, expected] = [found, expected].map(|tensor| tensor.to_array().unwrap());
    let differs = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan());
    match found.iter().zip(&expected).position(differs) {
        Some(at) => Err(format!("{what}, element {at} of {:?} is not the same", found.shape())),
        None => Ok(()),
    }
}

fn in_every_variant(shapes: &[&[usize]], specs: impl Fn(&[usize]) -> Vec<NormSpec>, least: usize) {
    let (mut ran, mut turn) = (0, 0);
    for (number, (variant, gpu, strategy)) in variants::everywhere().enumerate() {
        // So that each variant meets some, and each layer some variants.
        for &shape in shapes.iter().skip(number % 4).step_by(4) {
            turn += 1;
            let specs = specs(shape);
            let index = (5 * number + turn) % specs.len();
            let (dtype, mode) = (data::turn(index + turn, shape).0, MODES[turn % 2]);
            let activation = [Activation::Identity, Activation::Identity, Activation::Relu][turn % 3];
            let spec = specs[index].clone().with_activation(activation);
            let Ok(geometry) = Geometry::new(&spec, mode, shape) else { continue };
            let x = data::values("normal", shape, geometry.row_len);
            let c = (turn % 4 == 3).then(|| data::values("uniform", shape, 1));
            let case = Case { spec, mode, dtype, x, c };
            let added = case.c.is_some();
            let place = || format!("{variant}, {:?}, {mode:?}, {shape:?}, {dtype}, added: {added}", case.spec);
            let outcome = match turn % 5 {
                0 | 1 => case.check_backward(&gpu, strategy),
                _ => case.check_forward(&gpu, strategy),
            };
            ran += usize::from(outcome.unwrap_or_else(|reason| panic!("{}: {reason}", place())).is_some());
        }
    }
    assert!(ran > least * adapters::count(), "only {ran} runs");
}

#[test]
fn channel_norms_in_every_variant() {
    in_every_variant(&CHANNEL_SHAPES, |shape| data::channel_specs(shape[1]), 12);
}

#[test]
fn trailing_norms_in_every_variant() {
    in_every_variant(&TRAILING_SHAPES[1..], |shape| data::trailing_specs(shape, shape.len() - 1), 8);
}

/// What a backward still needs, what adds to what is there, and what overlaps in another way.
#[test]
fn refused_in_place() {
    for (name, gpu) in adapters::all() {
        let norm = GpuNorm::new(gpu, BatchNorm::new(6)).unwrap();
        let x = Tensor::from_array(gpu, &data::values("normal", &[4, 6, 64], 1)).unwrap();
        let before = x.to_array().unwrap();
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let told =
            "the output is the input, which the backward of a saved forward needs: give the output a buffer of its own";
        refused!(norm.encode_forward_saved(&mut encoder, &x, &x).map(drop), Error::SavedInPlace, told);
        let (y, saved) = norm.forward_saved(&x).unwrap();
        refused!(norm.encode_forward_again(&mut encoder, &x, &saved), Error::SavedInPlace, told);
        let shares = |written: &str, with: &str| {
            format!(
                "the {written}, which is written, shares a buffer with the {with}, which wgpu cannot bind beside it; \
                 give one of them another buffer"
            )
        };
        let told = shares("output", "tensor added after");
        refused!(norm.call().add_after(&x).encode_forward(&mut encoder, &x, &x), Error::Aliasing { .. }, told);
        let mut gradients = norm.zero_gradients(&saved).unwrap().accumulate_input(true);
        gradients.input = Some(y.clone());
        let told = shares("input's gradient", "dy");
        refused!(norm.encode_backward(&mut encoder, &y, &saved, &gradients), Error::Aliasing { .. }, told);
        // The same bytes in another shape are another tensor.
        let layer = GpuNorm::new(gpu, LayerNorm::new([64])).unwrap();
        let told = "the output: expected shape [24, 64], got [4, 6, 64]";
        let flat = x.reshape(&[24, 64]).unwrap();
        refused!(layer.encode_forward(&mut encoder, &flat, &x), Error::Shape { .. }, told);
        gpu.queue().submit([encoder.finish()]);
        assert_eq!(x.to_array().unwrap(), before, "{name}");
    }
}
