//! What runs on the CPU, of rows `[N·T, D]`, the positions of sentences.

use example_kit::random::Random;
use ndarray::{Array2, Zip};

/// A parameter, its gradient, and Adam's moments of it.
pub struct Parameter {
    pub value: Array2<f32>,
    pub gradient: Array2<f32>,
    moments: [Array2<f32>; 2],
}

impl Parameter {
    pub fn new(value: Array2<f32>) -> Parameter {
        let zeros = || Array2::zeros(value.dim());
        Parameter { gradient: zeros(), moments: [zeros(), zeros()], value }
    }

    /// Uniform, with a variance of 1 / `inputs`.
    pub fn random(random: &mut Random, inputs: usize, shape: (usize, usize)) -> Parameter {
        let bound = (3.0 / inputs as f32).sqrt();
        Parameter::new(Array2::from_shape_simple_fn(shape, || bound * random.signed()))
    }

    /// Adam's step number `step`, the first being 1 (Kingma & Ba 2015, arXiv:1412.6980).
    pub fn step(&mut self, rate: f32, step: i32) {
        const DECAY: [f32; 2] = [0.9, 0.99];
        let [first, second] = &mut self.moments;
        let unbias = DECAY.map(|decay| 1.0 / (1.0 - decay.powi(step)));
        Zip::from(&mut self.value).and(&self.gradient).and(first).and(second).for_each(|value, &gradient, m, v| {
            *m += (1.0 - DECAY[0]) * (gradient - *m);
            *v += (1.0 - DECAY[1]) * (gradient * gradient - *v);
            *value -= rate * unbias[0] * *m / ((unbias[1] * *v).sqrt() + 1e-8);
        });
    }
}

/// A function of rows, which keeps what its backward needs.
pub trait Layer {
    fn forward(&mut self, x: Array2<f32>) -> Array2<f32>;

    /// The gradient by x; those by the parameters are left in them.
    fn backward(&mut self, dy: &Array2<f32>) -> Array2<f32>;

    /// With names.
    fn parameters(&mut self) -> Vec<(&'static str, &mut Parameter)>;
}

/// `y = x·w`.
pub struct Linear {
    name: &'static str,
    weight: Parameter,
    x: Array2<f32>,
}

impl Linear {
    pub fn new(name: &'static str, random: &mut Random, inputs: usize, outputs: usize) -> Linear {
        let weight = Parameter::random(random, inputs, (inputs, outputs));
        Linear { name, weight, x: Array2::default((0, 0)) }
    }
}

impl Layer for Linear {
    fn forward(&mut self, x: Array2<f32>) -> Array2<f32> {
        self.x = x;
        self.x.dot(&self.weight.value)
    }

    fn backward(&mut self, dy: &Array2<f32>) -> Array2<f32> {
        self.weight.gradient = self.x.t().dot(dy);
        dy.dot(&self.weight.value.t())
    }

    fn parameters(&mut self) -> Vec<(&'static str, &mut Parameter)> {
        vec![(self.name, &mut self.weight)]
    }
}

/// `silu(x·w)·v`.
pub struct Mlp {
    up: Linear,
    down: Linear,
    before: Array2<f32>,
}

impl Mlp {
    pub fn new(random: &mut Random, width: usize) -> Mlp {
        let up = Linear::new("mlp up", random, width, 4 * width);
        let down = Linear::new("mlp down", random, 4 * width, width);
        Mlp { up, down, before: Array2::default((0, 0)) }
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

impl Layer for Mlp {
    fn forward(&mut self, x: Array2<f32>) -> Array2<f32> {
        self.before = self.up.forward(x);
        self.down.forward(self.before.mapv(|x| x * sigmoid(x)))
    }

    fn backward(&mut self, dy: &Array2<f32>) -> Array2<f32> {
        let mut gradient = self.down.backward(dy);
        Zip::from(&mut gradient).and(&self.before).for_each(|gradient, &x| {
            let share = sigmoid(x);
            *gradient *= share * (1.0 + x * (1.0 - share));
        });
        self.up.backward(&gradient)
    }

    fn parameters(&mut self) -> Vec<(&'static str, &mut Parameter)> {
        [self.up.parameters(), self.down.parameters()].into_iter().flatten().collect()
    }
}
