//! A small pre-norm transformer: in each block `h = x + attention(rms_norm(x))`, then `h + mlp(rms_norm(h))`.
//!
//! The stream x stays on the GPU. Each norm adds what was found last to it and normalizes the sum in one call; backwards, each
//! adds its part to the stream's gradient where that is.

use example_kit::loss::cross_entropy;
use example_kit::random::Random;
use gpunorm::{Gpu, Result, Tensor};
use ndarray::{Array2, Axis};

use crate::attention::Attention;
use crate::layers::{Layer, Linear, Mlp, Parameter};
use crate::norm::{Norm, rows};

const WIDTH: usize = 64;
const HEADS: usize = 4;
const BLOCKS: usize = 2;

/// Sentences of the same length, and what comes next at the positions that count.
pub struct Batch {
    /// `[N, T]`
    pub tokens: Array2<usize>,
    /// Places in `[N·T]`.
    pub places: Vec<usize>,
    /// The token that follows each of them.
    pub next: Vec<usize>,
}

pub struct Model {
    gpu: Gpu,
    /// A row per token, and one per position.
    tokens: Parameter,
    positions: Parameter,
    /// Each half of a block: what it finds in the normalized stream is added to the stream.
    halves: Vec<(Norm, Box<dyn Layer>)>,
    last: Norm,
    head: Linear,
}

impl Model {
    pub fn new(gpu: &Gpu, letters: usize, length: usize) -> Result<Model> {
        let random = &mut Random::new(1);
        let mut halves: Vec<(Norm, Box<dyn Layer>)> = vec![];
        for _ in 0..BLOCKS {
            halves.push((Norm::new(gpu, WIDTH)?, Box::new(Attention::new(random, length, WIDTH, HEADS))));
            halves.push((Norm::new(gpu, WIDTH)?, Box::new(Mlp::new(random, WIDTH))));
        }
        Ok(Model {
            gpu: gpu.clone(),
            tokens: Parameter::random(random, 1, (letters, WIDTH)),
            positions: Parameter::random(random, 1, (length, WIDTH)),
            halves,
            last: Norm::new(gpu, WIDTH)?,
            head: Linear::new("head", random, WIDTH, letters),
        })
    }

    /// The scores of what comes next at these places, `[places, letters]`.
    pub fn forward(&mut self, tokens: &Array2<usize>, places: &[usize]) -> Result<Array2<f32>> {
        let length = tokens.ncols();
        let mut embedded = Array2::zeros((tokens.len(), WIDTH));
        for ((place, mut row), &token) in embedded.outer_iter_mut().enumerate().zip(tokens) {
            row += &self.tokens.value.row(token);
            row += &self.positions.value.row(place % length);
        }
        let mut stream = Tensor::from_array(&self.gpu, &embedded)?;
        let mut found = None;
        let mut normalized;
        for (norm, half) in &mut self.halves {
            (normalized, stream) = norm.forward(stream, found.as_ref())?;
            found = Some(Tensor::from_array(&self.gpu, &half.forward(normalized))?);
        }
        (normalized, _) = self.last.forward(stream, found.as_ref())?;
        Ok(self.head.forward(normalized.select(Axis(0), places)))
    }

    /// The mean cross-entropy of what comes next, in nats, and its gradients, which are left in the parameters.
    pub fn learn(&mut self, batch: &Batch) -> Result<f32> {
        let mut scores = self.forward(&batch.tokens, &batch.places)?;
        let loss = cross_entropy(scores.view_mut(), &batch.next);
        let mut normalized = Array2::zeros((batch.tokens.len(), WIDTH));
        for (gradient, &place) in self.head.backward(&scores).outer_iter().zip(&batch.places) {
            normalized.row_mut(place).assign(&gradient);
        }
        // Of the stream, wherever it is: what was found there was added to it, and has the same gradient.
        let stream = Tensor::from_array(&self.gpu, &Array2::zeros(normalized.dim()))?;
        self.last.backward(&normalized, &stream)?;
        for (norm, half) in self.halves.iter_mut().rev() {
            norm.backward(&half.backward(&rows(stream.to_array()?)), &stream)?;
        }
        self.tokens.gradient.fill(0.0);
        self.positions.gradient.fill(0.0);
        let length = batch.tokens.ncols();
        for ((place, gradient), &token) in rows(stream.to_array()?).outer_iter().enumerate().zip(&batch.tokens) {
            let mut row = self.tokens.gradient.row_mut(token);
            row += &gradient;
            let mut row = self.positions.gradient.row_mut(place % length);
            row += &gradient;
        }
        Ok(loss)
    }

    /// The mean cross-entropy alone.
    pub fn loss(&mut self, batch: &Batch) -> Result<f32> {
        Ok(cross_entropy(self.forward(&batch.tokens, &batch.places)?.view_mut(), &batch.next))
    }

    /// All that is learned, with names.
    pub fn parameters(&mut self) -> Vec<(&'static str, &mut Parameter)> {
        let mut all = vec![("tokens", &mut self.tokens), ("positions", &mut self.positions)];
        for (norm, half) in &mut self.halves {
            all.push(("norm", &mut norm.weight));
            all.extend(half.parameters());
        }
        all.push(("last norm", &mut self.last.weight));
        all.extend(self.head.parameters());
        all
    }
}
