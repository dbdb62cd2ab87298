//! Layer and RMS norm of tensors whose rows lie apart, in every variant of a plan, held to the oracle: of NaN and infinity between the
//! rows nothing is read into a result, and nothing there changes.

use gpunorm::reference::{self, State};
use gpunorm::unstable::Strategy;
use gpunorm::{Activation, DType, Gpu, GpuNorm, Mode, NormSpec, Tensor};
use ndarray::ArrayD;

use super::compare::{self, compare};
use super::data::rounded;
use super::{adapters, case, data, variants};

/// A part of a larger tensor.
struct Part {
    /// Of the larger one.
    shape: &'static [usize],
    view: fn(&Tensor) -> gpunorm::Result<Tensor>,
    /// Dimensions that are normalized.
    normalized: usize,
    /// Whether 16-bit rows have whole words.
    words: bool,
}

impl Part {
    fn view_shape(&self) -> Vec<usize> {
        let whole = Tensor::zeros(adapters::first(), self.shape, DType::F32).unwrap();
        (self.view)(&whole).unwrap().shape().to_vec()
    }

    fn specs(&self) -> Vec<NormSpec> {
        let shape = self.view_shape();
        data::trailing_specs(&shape, shape.len() - self.normalized)
    }
}

const PARTS: [Part; 8] = [
    // q, k and v of [tokens, 3, heads, d], of several widths.
    Part { shape: &[5, 3, 4, 32], view: |whole| whole.select(1, 1), normalized: 1, words: true },
    Part { shape: &[4, 3, 3, 70], view: |whole| whole.narrow(1, 2, 1), normalized: 1, words: true },
    Part { shape: &[7, 3, 2, 7], view: |whole| whole.select(1, 0), normalized: 1, words: false },
    Part { shape: &[2, 3, 3, 2056], view: |whole| whole.select(1, 2), normalized: 1, words: true },
    // All heads as one row.
    Part { shape: &[6, 2, 4, 12], view: |whole| whole.select(1, 1), normalized: 2, words: true },
    // Padded rows, and one that begin anywhere.
    Part { shape: &[70, 44], view: |whole| whole.narrow(1, 6, 20), normalized: 1, words: true },
    // Contiguous, from where no binding begins.
    Part { shape: &[9, 6, 18], view: |whole| whole.narrow(0, 3, 5), normalized: 1, words: true },
    // Heads before tokens.
    Part {
        shape: &[6, 3, 16],
        view: |whole| whole.as_strided(&[3, 6, 16], &[16, 48, 1], 0),
        normalized: 1,
        words: true,
    },
];

/// NaN and infinities, of every type.
const BETWEEN: [u32; 3] = [0x7fc1_7fc1, 0x7f80_0000, 0x7c00_7c00];

fn between(word: usize) -> u32 {
    BETWEEN[word % BETWEEN.len()]
}

/// A view with nothing but [`BETWEEN`] around.
struct Packed {
    whole: Tensor,
    view: Tensor,
}

impl Packed {
    fn new(gpu: &Gpu, part: &Part, dtype: DType) -> Packed {
        let whole = Tensor::zeros(gpu, part.shape, dtype).unwrap();
        let words: Vec<u32> = (0..whole.buffer().size() as usize / 4).map(between).collect();
        gpu.queue().write_buffer(whole.buffer(), 0, bytemuck::cast_slice(&words));
        let view = (part.view)(&whole).unwrap();
        Packed { whole, view }
    }

    fn of(gpu: &Gpu, part: &Part, values: &ArrayD<f32>, dtype: DType) -> Packed {
        let packed = Packed::new(gpu, part, dtype);
        packed.view.copy_from(&Tensor::from_array_as(gpu, values, dtype).unwrap()).unwrap();
        packed
    }

    /// Fails if anything but the view has changed.
    fn check(&self, what: &str) -> Result<(), String> {
        let (gpu, dtype) = (self.whole.gpu(), self.whole.dtype());
        let words = self.whole.len() * dtype.size() / 4;
        let read = |tensor: &Tensor| -> Vec<u32> {
            let whole = Tensor::wrap(gpu, tensor.buffer().clone(), 0, &[words], DType::F32).unwrap();
            whole.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
        };
        // The same elements of another tensor say where they are.
        let mask = Tensor::zeros(gpu, self.whole.shape(), dtype).unwrap();
        let ones = ArrayD::from_elem(self.view.shape(), 1.0);
        let own = mask.as_strided(self.view.shape(), self.view.strides(), self.view.offset() as usize / dtype.size());
        own.unwrap().copy_from(&Tensor::from_array_as(gpu, &ones, dtype).unwrap()).unwrap();
        match read(&self.whole)
            .iter()
            .zip(read(&mask))
            .enumerate()
            .find(|&(at, (&w, own))| own == 0 && w != between(at))
        {
            Some((at, (word, _))) => Err(format!("{what}: word {at} between the rows is {word:#x}")),
            None => Ok(()),
        }
    }
}

/// What the oracle says of a part's values.
struct Case<'a> {
    part: &'a Part,
    spec: NormSpec,
    dtype: DType,
    state: State,
    x: ArrayD<f32>,
    dy: ArrayD<f32>,
    output: reference::Forward,
    gradients: reference::Gradients,
}

/// Which tensors lie apart; the others are contiguous.
#[derive(Debug, Clone, Copy)]
struct Apart {
    x: bool,
    y: bool,
    dy: bool,
    dx: bool,
}

impl<'a> Case<'a> {
    fn new(part: &'a Part, spec: NormSpec, dtype: DType) -> Case<'a> {
        let shape = part.view_shape();
        let values = |name| rounded(&data::values(name, &shape, 1), dtype);
        let (x, state) = (values("normal"), data::state(&spec));
        let dy = rounded(&values("uniform").mapv(|value| value / 4.0 - 1.0), dtype);
        let wide = x.mapv(f64::from);
        let output = reference::forward(&spec, Mode::Training, &mut state.clone(), &wide).unwrap();
        let gradients = reference::backward_beside(
            &spec,
            Mode::Training,
            &state,
            &wide,
            &reference::Neighbours::default(),
            &dy.mapv(f64::from),
        );
        let gradients = gradients.unwrap().layer;
        Case { part, spec, dtype, state, x, dy, output, gradients }
    }

    /// Whether it ran, and was right.
    fn check(&self, gpu: &Gpu, strategy: Strategy, apart: Apart) -> Result<bool, String> {
        let mut norm = match GpuNorm::new(gpu, self.spec.clone()) {
            Err(error) if variants::may_be_refused(gpu, &error) => return Ok(false),
            norm => norm.unwrap(),
        };
        norm.load_state_dict(&compare::state_dict(&self.state), "").unwrap();
        norm.set_strategy(strategy);
        let contiguous = |values: &ArrayD<f32>| {
            let whole = Tensor::from_array_as(gpu, values, self.dtype).unwrap();
            Packed { view: whole.clone(), whole }
        };
        let place = |values, apart| match apart {
            true => Packed::of(gpu, self.part, values, self.dtype),
            false => contiguous(values),
        };
        let (x, dy) = (place(&self.x, apart.x), place(&self.dy, apart.dy));
        let (y, dx) = (place(&self.dy, apart.y), place(&self.x, apart.dx));
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let saved = match norm.encode_forward_saved(&mut encoder, &x.view, &y.view) {
            Err(error) if variants::may_be_refused(gpu, &error) => return Ok(false),
            saved => saved.map_err(|error| error.to_string())?,
        };
        let mut gradients = norm.zero_gradients(&saved).unwrap();
        gradients.input = Some(dx.view.clone());
        match norm.encode_backward(&mut encoder, &dy.view, &saved, &gradients) {
            Err(error) if variants::may_be_refused(gpu, &error) => return Ok(false),
            recorded => recorded.map_err(|error| error.to_string())?,
        }
        gpu.queue().submit([encoder.finish()]);
        let wide = self.x.mapv(f64::from);
        let allowance = compare::allowance(&self.state, &wide, &self.output);
        let tolerance = self.output.tolerance(self.dtype) + allowance;
        let near = |tensor: &Tensor| compare(&tensor.to_array().unwrap(), &self.output.output, &tolerance);
        near(&y.view).map_err(|worst| format!("output, {worst}"))?;
        let (off, r) = case::off(&self.output, &wide);
        let allowance = case::gradient_allowance(off, r, &self.state, &(self.dy.mapv(f64::from) * 2.0));
        let checked = case::check_gradients(&gradients, &self.gradients, &case::GRADIENTS, self.dtype, allowance);
        pollster::block_on(checked)?;
        // In place, what the forward has left is read no more. Rows that lie otherwise may be summed in another order.
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        norm.encode_forward(&mut encoder, &x.view, &x.view).map_err(|error| error.to_string())?;
        gpu.queue().submit([encoder.finish()]);
        near(&x.view).map_err(|worst| format!("in place, {worst}"))?;
        let tensors = [("x", &x, apart.x), ("y", &y, apart.y), ("dy", &dy, apart.dy), ("dx", &dx, apart.dx)];
        tensors.into_iter().filter(|(.., apart)| *apart).try_for_each(|(what, packed, _)| packed.check(what))?;
        Ok(true)
    }
}

#[test]
fn rows_that_lie_apart_in_every_variant() {
    let (mut ran, mut turn) = (0, 0);
    for (number, (variant, gpu, strategy)) in variants::everywhere().enumerate() {
        // So that each variant meets some, and each part many variants.
        for part in PARTS.iter().skip(number % 3).step_by(3) {
            turn += 1;
            let specs = part.specs();
            let dtype =
                if part.words { [DType::F32, DType::F16, DType::F32, DType::BF16][turn % 4] } else { DType::F32 };
            let through = if dtype == DType::F32 && turn % 3 == 0 { Activation::Silu } else { Activation::Identity };
            let spec = specs[turn / 2 % specs.len()].clone().with_activation(through);
            // Each tensor alone, all of them, and pairs.
            let bits = [15, 1, 2, 4, 8, 5, 10][turn % 7];
            let on = |bit: usize| bits >> bit & 1 == 1;
            let apart = Apart { x: on(0), y: on(1), dy: on(2), dx: on(3) };
            let case = Case::new(part, spec, dtype);
            let place = || format!("{variant}, {:?}, {:?}, {dtype}, {apart:?}", case.spec, part.shape);
            ran +=
                usize::from(case.check(&gpu, strategy, apart).unwrap_or_else(|reason| panic!("{}: {reason}", place())));
        }
    }
    assert!(ran > 20 * adapters::count(), "only {ran} runs");
}
