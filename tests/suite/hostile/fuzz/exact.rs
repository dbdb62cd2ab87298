//! A forward in f64, written from the papers' formulas over flat arrays, and how far f32 may be off. It shares nothing
//! with the crate's own oracle.

use gpunorm::{DType, Mode};

use super::case::Arrays;
use super::layer::{Kind, Layer};

/// Numbers, and what rounding errors in them are relative to.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub values: Vec<f64>,
    pub magnitudes: Vec<f64>,
    /// In units of 4·2⁻²⁴ of the magnitude.
    pub roundings: f64,
}

impl Wanted {
    /// The README's bound, of a tensor that held `before`.
    pub fn tolerance(&self, i: usize, before: f64, dtype: DType) -> f64 {
        let magnitude = self.magnitudes[i] + before.abs();
        // One ulp of the element type, of subnormal numbers too.
        let ulp = |digits: i32, least: i32| 2f64.powi((magnitude.log2().floor() as i32).max(least) - digits);
        let stored = match dtype {
            DType::F32 => 0.0,
            DType::F16 => ulp(10, -14),
            DType::BF16 => ulp(7, -126),
            _ => unimplemented!("{dtype}"),
        };
        4.0 * 2f64.powi(-24) * magnitude * self.roundings + stored
    }
}

/// Elements with a statistic in common. Its mean is `shift + rest`, so that a large one costs no digits.
#[derive(Debug, Clone, Copy)]
pub struct Set {
    pub len: f64,
    pub shift: f64,
    pub rest: f64,
    pub var: f64,
}

impl Set {
    pub fn from(&self, x: f64) -> f64 {
        (x - self.shift) - self.rest
    }

    pub fn mean(&self) -> f64 {
        self.shift + self.rest
    }
}

/// A statistic that each instance (a sample's channel; of layer and RMS norm a row) has, and its share in the one that
/// the instance is normalized with.
pub struct Part {
    pub mean_share: f64,
    pub var_share: f64,
    /// Whether it is of the input.
    pub live: bool,
    /// The set of each instance.
    pub of: Vec<usize>,
    pub sets: Vec<Set>,
}

impl Part {
    pub fn set(&self, instance: usize) -> &Set {
        &self.sets[self.of[instance]]
    }

    /// The largest value among each set's elements.
    pub fn most(&self, spatial: usize, values: impl Iterator<Item = f64>) -> Vec<f64> {
        let mut most = vec![0f64; self.sets.len()];
        for (i, value) in values.enumerate() {
            let most = &mut most[self.of[i / spatial]];
            *most = most.max(value.abs());
        }
        most
    }
}

/// A forward of an input that is not empty.
pub struct Exact<'a> {
    pub layer: &'a Layer,
    pub arrays: &'a Arrays,
    pub sizes: [usize; 3],
    /// How many samples have parameters of their own, one after the other; 1 where all share the layer's.
    pub samples: usize,
    pub x: Vec<f64>,
    pub parts: Vec<Part>,
    /// What shares that do not add up to 1 leave of x: of RMS norm all of it.
    pub rest: f64,
    /// Of each instance.
    pub r: Vec<f64>,
    pub normalized: Vec<f64>,
}

impl Exact<'_> {
    pub fn new<'a>(layer: &'a Layer, arrays: &'a Arrays, shape: &[usize], mode: Mode, x: &[f32]) -> Exact<'a> {
        let sizes @ [_, _, s] = layer.view(shape);
        let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let parts = parts(layer, arrays, sizes, mode, &x);
        let var = |i| parts.iter().map(|part| part.var_share * part.set(i).var).sum::<f64>() + f64::from(layer.eps);
        let r = |var: f64| if var == 0.0 { 0.0 } else { 1.0 / var.sqrt() };
        let r: Vec<f64> = (0..x.len() / s).map(|i| r(var(i))).collect();
        let softmax = layer.kind == Kind::Switchable && !layer.plain;
        let rest = if softmax { 0.0 } else { 1.0 - parts.iter().map(|part| part.mean_share).sum::<f64>() };
        let normalized = |(i, &x): (usize, &f64)| {
            let from = parts.iter().map(|part| part.mean_share * part.set(i / s).from(x)).sum::<f64>();
            (from + rest * x) * r[i / s]
        };
        let normalized = x.iter().enumerate().map(normalized).collect();
        Exact { layer, arrays, sizes, samples: 1, x, parts, rest, r, normalized }
    }

    /// Parameters of a sample.
    pub fn parameters(&self) -> usize {
        let [_, c, s] = self.sizes;
        if self.layer.is_trailing() { s } else { c }
    }

    /// Which parameter an element has.
    pub fn parameter(&self, i: usize) -> usize {
        let [_, c, s] = self.sizes;
        let own = if self.layer.is_trailing() { i % s } else { i / s % c };
        i / (self.x.len() / self.samples) * self.parameters() + own
    }

    pub fn weight(&self, i: usize) -> f64 {
        self.arrays.weight(self.parameter(i))
    }

    /// The most elements behind a statistic of the input.
    pub fn longest(&self) -> f64 {
        self.live().flat_map(|part| &part.sets).fold(1.0, |most, set| most.max(set.len))
    }

    pub fn live(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.live)
    }

    /// Within `4·u·(|weight|·max|x̂| + |bias|)·(4 + log2 M)`. Where statistics are mixed, each is off by a rounding of
    /// what its own set deviates from it.
    pub fn output(&self) -> Wanted {
        let s = self.sizes[2];
        let switchable = self.layer.kind == Kind::Switchable;
        let row = |i: usize| if switchable { i / s } else { self.parts[0].of[i / s] };
        let mut most = vec![0f64; self.r.len()];
        self.normalized.iter().enumerate().for_each(|(i, x)| most[row(i)] = most[row(i)].max(x.abs()));
        let spread: Vec<_> = self
            .live()
            .map(|part| {
                let from = self.x.iter().enumerate().map(|(i, &x)| part.set(i / s).from(x));
                (part, part.most(s, from))
            })
            .collect();
        let mut wanted = Wanted { values: vec![], magnitudes: vec![], roundings: 4.0 + self.longest().log2() };
        for (i, x) in self.normalized.iter().enumerate() {
            let at = i / s;
            let mixed = |(part, most): &(&Part, Vec<f64>)| part.mean_share.abs() * most[part.of[at]] * self.r[at];
            let size = most[row(i)].max(spread.iter().map(mixed).sum());
            let bias = self.arrays.bias(self.parameter(i));
            wanted.values.push(self.weight(i) * x + bias);
            wanted.magnitudes.push(self.weight(i).abs() * size + bias.abs());
        }
        wanted
    }

    /// The running means and variances after `times` training forwards of this input.
    pub fn running(&self, times: usize) -> [Wanted; 2] {
        let [n, c, _] = self.sizes;
        let part = self.parts.last().expect("one at least");
        let s = self.sizes[2];
        let spread = part.most(s, self.x.iter().enumerate().map(|(i, &x)| part.set(i / s).from(x)));
        let size = |i: usize| part.set(i).mean().abs() + spread[part.of[i]];
        let mut all = [&self.arrays.running_mean, &self.arrays.running_var].map(|old| Wanted {
            values: old.clone(),
            magnitudes: old.iter().map(|old| old.abs()).collect(),
            roundings: times as f64 * (4.0 + self.longest().log2()),
        });
        for time in 0..times {
            let f = match (self.layer.kind, self.layer.momentum) {
                (_, Some(f)) => f64::from(f),
                (Kind::Instance, None) => 0.0,
                (_, None) => 1.0 / (self.arrays.batches + 1.0 + time as f64),
            };
            for channel in 0..c {
                let sets = (0..n).map(|sample| part.set(sample * c + channel));
                let mean = sets.clone().map(Set::mean).sum::<f64>() / n as f64;
                let unbiased = |set: &Set| match self.layer.kind {
                    Kind::Switchable => set.var,
                    _ => set.var * set.len / (set.len - 1.0),
                };
                let var = sets.map(unbiased).sum::<f64>() / n as f64;
                // A mean is a sum of deviations; a variance of squares, and twice as far off as its root.
                let size = (0..n).map(|sample| size(sample * c + channel)).sum::<f64>() / n as f64;
                for (wanted, (new, size)) in all.iter_mut().zip([(mean, size), (var, 2.0 * var)]) {
                    wanted.values[channel] = (1.0 - f) * wanted.values[channel] + f * new;
                    wanted.magnitudes[channel] = (1.0 - f).abs() * wanted.magnitudes[channel] + f.abs() * size;
                }
            }
        }
        all
    }
}

/// The statistics that the layer uses, of switchable norm the batch's last.
fn parts(layer: &Layer, arrays: &Arrays, [n, c, s]: [usize; 3], mode: Mode, x: &[f64]) -> Vec<Part> {
    let one = |of: &dyn Fn(usize) -> usize, count: usize| {
        let of: Vec<usize> = (0..n * c).map(of).collect();
        let sets = statistics(x, s, &of, count);
        Part { mean_share: 1.0, var_share: 1.0, live: true, of, sets }
    };
    let instance = || one(&|i| i, n * c);
    let by_sample = || one(&|i| i / c, n);
    let by_channel = || one(&|i| i % c, c);
    let running = || {
        let set = |(&shift, &var)| Set { len: 1.0, shift, rest: 0.0, var };
        let sets = arrays.running_mean.iter().zip(&arrays.running_var).map(set).collect();
        Part { mean_share: 1.0, var_share: 1.0, live: false, of: (0..n * c).map(|i| i % c).collect(), sets }
    };
    let evaluates = mode == Mode::Evaluation && layer.tracks();
    match layer.kind {
        Kind::Batch | Kind::Instance if evaluates => vec![running()],
        Kind::Batch => vec![by_channel()],
        Kind::Instance | Kind::Layer => vec![instance()],
        Kind::Group => {
            let width = c / layer.groups;
            vec![one(&|i| i / c * layer.groups + i % c / width, n * layer.groups)]
        }
        Kind::Rms => {
            let mut part = instance();
            for (set, row) in part.sets.iter_mut().zip(x.chunks(s)) {
                let squares = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
                *set = Set { shift: 0.0, rest: 0.0, var: squares, ..*set };
            }
            vec![Part { mean_share: 0.0, ..part }]
        }
        Kind::Switchable => {
            let mut parts = [instance(), by_sample(), by_channel()];
            if layer.is_flat(s) {
                parts.iter_mut().flat_map(|part| &mut part.sets).for_each(|set| set.var *= set.len / (set.len - 1.0));
            } else if layer.reference {
                by_the_authors(&mut parts, s);
            }
            let [instance, sample, channel] = parts;
            let channel = if evaluates { running() } else { channel };
            let on = [layer.instance, true, layer.batch];
            let mut parts: Vec<_> =
                [instance, sample, channel].into_iter().zip(on).filter_map(|(part, on)| on.then_some(part)).collect();
            let shares = shares(layer, &arrays.mean_weight).into_iter().zip(shares(layer, &arrays.var_weight));
            for (part, (mean_share, var_share)) in parts.iter_mut().zip(shares) {
                (part.mean_share, part.var_share) = (mean_share, var_share);
            }
            parts
        }
    }
}

/// Two passes around the first element of each set.
fn statistics(x: &[f64], spatial: usize, of: &[usize], count: usize) -> Vec<Set> {
    let mut sets = vec![Set { len: 0.0, shift: 0.0, rest: 0.0, var: 0.0 }; count];
    for (i, &x) in x.iter().enumerate() {
        let set = &mut sets[of[i / spatial]];
        if set.len == 0.0 {
            set.shift = x;
        }
        set.len += 1.0;
        set.rest += x - set.shift;
    }
    sets.iter_mut().for_each(|set| set.rest /= set.len);
    for (i, &x) in x.iter().enumerate() {
        let set = &mut sets[of[i / spatial]];
        set.var += set.from(x).powi(2) / set.len;
    }
    sets
}

/// The instance's variance unbiased, and the others from it: the mean of the instances' variances, and of how far their
/// means are.
fn by_the_authors([instance, sample, channel]: &mut [Part; 3], spatial: usize) {
    let s = spatial as f64;
    instance.sets.iter_mut().for_each(|set| set.var *= s / (s - 1.0));
    for part in [sample, channel] {
        part.sets.iter_mut().for_each(|set| set.var = 0.0);
        for (i, one) in instance.sets.iter().enumerate() {
            let set = &mut part.sets[part.of[i]];
            let from = set.from(one.shift) + one.rest;
            set.var += (one.var + from * from) * s / set.len;
        }
    }
}

fn shares(layer: &Layer, weights: &[f64]) -> Vec<f64> {
    if layer.plain {
        return weights.to_vec();
    }
    let powers: Vec<f64> = weights.iter().map(|w| w.exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / total).collect()
}
