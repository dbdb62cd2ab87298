//! Attention of a sentence's positions to one another.

use example_kit::loss::softmax;
use example_kit::random::Random;
use ndarray::{Array2, Array4, Array5, ArrayView2, s};

use crate::layers::{Layer, Linear, Parameter};

/// Causal and of several heads: each position looks at itself and at those before it (Vaswani et al. 2017, arXiv:1706.03762).
pub struct Attention {
    /// Positions of a sentence.
    length: usize,
    heads: usize,
    project: Linear,
    out: Linear,
    /// Queries, keys and values, `[N, T, 3, heads, D / heads]`.
    projected: Array5<f32>,
    /// How much each position takes of which, `[T, T]` of each sentence's heads.
    shares: Vec<Array2<f32>>,
}

impl Attention {
    pub fn new(random: &mut Random, length: usize, width: usize, heads: usize) -> Attention {
        let project = Linear::new("attention in", random, width, 3 * width);
        let out = Linear::new("attention out", random, width, width);
        Attention { length, heads, project, out, projected: Array5::default([0; 5]), shares: vec![] }
    }

    /// The heads of all sentences, in the order of `shares`.
    fn each(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let heads = self.heads;
        (0..self.projected.dim().0).flat_map(move |sentence| (0..heads).map(move |head| (sentence, head)))
    }

    fn scale(&self) -> f32 {
        1.0 / (self.projected.dim().4 as f32).sqrt()
    }
}

impl Layer for Attention {
    fn forward(&mut self, x: Array2<f32>) -> Array2<f32> {
        let (rows, width) = x.dim();
        let [sentences, size] = [rows / self.length, width / self.heads];
        let shape = [sentences, self.length, 3, self.heads, size];
        self.projected = self.project.forward(x).into_shape_with_order(shape).expect("the same elements");
        self.shares.clear();
        let mut mixed = Array4::<f32>::zeros([sentences, self.length, self.heads, size]);
        for (n, head) in self.each() {
            let [query, key, value]: [ArrayView2<f32>; 3] =
                [0, 1, 2].map(|part| self.projected.slice(s![n, .., part, head, ..]));
            let mut shares = self.scale() * query.dot(&key.t());
            for ((at, seen), score) in shares.indexed_iter_mut() {
                *score = if seen > at { f32::NEG_INFINITY } else { *score };
            }
            softmax(shares.view_mut());
            mixed.slice_mut(s![n, .., head, ..]).assign(&shares.dot(&value));
            self.shares.push(shares);
        }
        self.out.forward(mixed.into_shape_with_order([rows, width]).expect("the same elements"))
    }

    fn backward(&mut self, dy: &Array2<f32>) -> Array2<f32> {
        let (sentences, length, _, heads, size) = self.projected.dim();
        let mixed = self.out.backward(dy).into_shape_with_order([sentences, length, heads, size]);
        let mixed = mixed.expect("the same elements");
        let mut gradient = Array5::<f32>::zeros(self.projected.dim());
        for ((n, head), shares) in self.each().zip(&self.shares) {
            let [query, key, value]: [ArrayView2<f32>; 3] =
                [0, 1, 2].map(|part| self.projected.slice(s![n, .., part, head, ..]));
            let mixed = mixed.slice(s![n, .., head, ..]);
            let mut scores = mixed.dot(&value.t());
            for (mut row, shares) in scores.outer_iter_mut().zip(shares.outer_iter()) {
                let mean = row.dot(&shares);
                row.zip_mut_with(&shares, |score, share| *score = share * (*score - mean));
            }
            scores *= self.scale();
            let parts = [scores.dot(&key), scores.t().dot(&query), shares.t().dot(&mixed)];
            for (part, of) in parts.iter().enumerate() {
                gradient.slice_mut(s![n, .., part, head, ..]).assign(of);
            }
        }
        let gradient = gradient.into_shape_with_order([sentences * length, 3 * heads * size]);
        self.project.backward(&gradient.expect("the same elements"))
    }

    fn parameters(&mut self) -> Vec<(&'static str, &mut Parameter)> {
        [self.project.parameters(), self.out.parameters()].into_iter().flatten().collect()
    }
}
