//! The backward of an [`Exact`] forward: the closed formulas of each norm, and of switchable norm statistic by
//! statistic.

use super::exact::{Exact, Part, Wanted};
use super::layer::Kind;

/// Of the input, weight, bias, mean_weight and var_weight, where there are such.
pub type Gradients = [Option<Wanted>; 5];

/// Sums over each instance.
struct Sums {
    /// Of h = dy·weight and of its size.
    h: Vec<[f64; 2]>,
    /// Of h·x̂, likewise.
    hx: Vec<[f64; 2]>,
}

fn sums_of(spatial: usize, values: impl Iterator<Item = f64>, instances: usize) -> Vec<[f64; 2]> {
    let mut sums = vec![[0.0; 2]; instances];
    for (i, value) in values.enumerate() {
        sums[i / spatial][0] += value;
        sums[i / spatial][1] += value.abs();
    }
    sums
}

impl Part {
    /// The sum over each set, of one value per instance.
    fn gather(&self, value: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.sets.len()];
        self.of.iter().enumerate().for_each(|(i, &set)| sums[set] += value(i));
        sums
    }
}

impl Exact<'_> {
    pub fn gradients(&self, dy: &[f32]) -> Gradients {
        let s = self.sizes[2];
        let dy: Vec<f64> = dy.iter().map(|&dy| f64::from(dy)).collect();
        let h: Vec<f64> = dy.iter().enumerate().map(|(i, dy)| dy * self.weight(i)).collect();
        let hx = h.iter().zip(&self.normalized).map(|(h, x)| h * x);
        let sums = Sums { h: sums_of(s, h.iter().copied(), self.r.len()), hx: sums_of(s, hx, self.r.len()) };
        let values = match self.layer.kind {
            Kind::Switchable => self.switchable(&h, &sums),
            _ => self.closed(&h, &sums),
        };
        let input = Wanted { values, magnitudes: self.input_magnitudes(&h), roundings: 8.0 + self.longest().log2() };
        let [weight, bias] = self.affine(&dy);
        let (layer, mixes) = (self.layer, self.layer.kind == Kind::Switchable);
        [
            Some(input),
            layer.has_weight().then_some(weight),
            layer.has_bias().then_some(bias),
            mixes.then(|| self.mean_shares(&sums)),
            mixes.then(|| self.var_shares(&sums)),
        ]
    }

    /// `r·(h − mean(h) − x̂·mean(h·x̂))`; of RMS norm without the first mean, of constants without both.
    fn closed(&self, h: &[f64], sums: &Sums) -> Vec<f64> {
        let (s, part) = (self.sizes[2], &self.parts[0]);
        let (of_h, of_hx) = (part.gather(|i| sums.h[i][0]), part.gather(|i| sums.hx[i][0]));
        let value = |(i, &h): (usize, &f64)| {
            let (set, len) = (part.of[i / s], part.set(i / s).len);
            let through = part.mean_share * of_h[set] / len + self.normalized[i] * of_hx[set] / len;
            self.r[i / s] * (h - if part.live { through } else { 0.0 })
        };
        h.iter().enumerate().map(value).collect()
    }

    /// dL/dmean and dL/dvar of an instance.
    fn slopes(&self, sums: &Sums, i: usize) -> [f64; 2] {
        [-self.r[i] * sums.h[i][0], -0.5 * self.r[i].powi(2) * sums.hx[i][0]]
    }

    /// `r·h`, what the instance's elements have alike, and what goes with their deviations.
    fn switchable(&self, h: &[f64], sums: &Sums) -> Vec<f64> {
        let s = self.sizes[2];
        let mut dx: Vec<f64> = h.iter().enumerate().map(|(i, h)| self.r[i / s] * h).collect();
        let flat = self.layer.is_flat(s);
        // The derivative of a variance that is a sum of the instances' and of their means' distances.
        let inner = 2.0 / (s as f64 - if self.layer.reference { 1.0 } else { 0.0 });
        for part in self.live() {
            let of_mean = part.gather(|i| part.mean_share * self.slopes(sums, i)[0]);
            let of_var = part.gather(|i| part.var_share * self.slopes(sums, i)[1]);
            // Of each instance's mean, from the set's.
            let from = self.x.iter().enumerate().map(|(i, &x)| part.set(i / s).from(x) / s as f64);
            let means = sums_of(s, from, self.r.len());
            for (i, dx) in dx.iter_mut().enumerate() {
                let (set, key, [mean, _]) = (part.set(i / s), part.of[i / s], means[i / s]);
                let deviation = set.from(self.x[i]) - mean;
                let slope = if flat {
                    2.0 * set.from(self.x[i]) / (set.len - 1.0)
                } else {
                    (inner * deviation * s as f64 + 2.0 * mean) / set.len
                };
                *dx += of_mean[key] / set.len + of_var[key] * slope;
            }
        }
        dx
    }

    /// `max(r·|h|)·(1 + max|x̂|)`; where statistics are mixed the sum of what goes through each.
    fn input_magnitudes(&self, h: &[f64]) -> Vec<f64> {
        let s = self.sizes[2];
        let own: Vec<f64> = h.iter().enumerate().map(|(i, h)| self.r[i / s] * h).collect();
        let mut magnitudes: Vec<f64> = own.iter().map(|own| own.abs()).collect();
        let mut through = vec![0.0; own.len()];
        for part in self.live() {
            let most = part.most(s, own.iter().copied());
            let from = |i: usize| match self.layer.kind {
                Kind::Rms => self.normalized[i],
                _ => part.set(i / s).from(self.x[i]) * self.r[i / s],
            };
            let furthest = part.most(s, (0..own.len()).map(from));
            let sizes = sums_of(s, self.normalized.iter().copied(), self.r.len());
            let typical = part.gather(|i| sizes[i][1]);
            for (i, through) in through.iter_mut().enumerate() {
                let (set, len) = (part.of[i / s], part.set(i / s).len);
                let typical = (typical[set] / len).max(1.0);
                *through += most[set] * (part.mean_share.abs() + part.var_share.abs() * furthest[set] * typical);
            }
        }
        magnitudes.iter_mut().zip(through).for_each(|(size, through)| *size = size.max(through));
        magnitudes
    }

    /// `Σ dy·x̂` and `Σ dy`, within `Σ |dy|·(|x̂| + r·σ)` and `Σ |dy|`.
    pub fn affine(&self, dy: &[f64]) -> [Wanted; 2] {
        let s = self.sizes[2];
        let parameters = self.samples * self.parameters();
        let count = (dy.len() / parameters) as f64;
        let empty = || vec![0.0; parameters];
        let wanted = |terms: f64| Wanted { values: empty(), magnitudes: empty(), roundings: 8.0 + terms.log2() };
        let [mut weight, mut bias] = [wanted(count.max(self.longest())), wanted(count)];
        let exact = self.live().next().is_none();
        for (i, dy) in dy.iter().enumerate() {
            let (at, r) = (self.parameter(i), self.r[i / s]);
            let var: f64 = self.parts.iter().map(|part| part.var_share * part.set(i / s).var).sum();
            let spread = if exact { 0.0 } else { r * var.max(0.0).sqrt() };
            weight.values[at] += dy * self.normalized[i];
            weight.magnitudes[at] += dy.abs() * (self.normalized[i].abs() + spread);
            bias.values[at] += dy;
            bias.magnitudes[at] += dy.abs();
        }
        [weight, bias]
    }

    /// How far the `k`th mean of an instance is from the `j`th.
    fn apart(&self, k: usize, j: usize, i: usize) -> f64 {
        let (k, j) = (self.parts[k].set(i), self.parts[j].set(i));
        (k.shift - j.shift) + (k.rest - j.rest)
    }

    fn mean_shares(&self, sums: &Sums) -> Wanted {
        let sigma = |k: usize, i: usize| self.parts[k].set(i).var.max(0.0).sqrt();
        let share = |k: usize| self.parts[k].mean_share;
        self.shares(&share, |k, i| {
            let [slope, _] = self.slopes(sums, i);
            let [near, far] = self.between(&share, k, |k, j| self.apart(k, j, i), |k| self.parts[k].set(i).mean());
            let mixed: f64 = (0..self.parts.len()).map(|j| share(j).abs() * sigma(j, i)).sum();
            (slope * near, self.r[i] * sums.h[i][1] * far + slope.abs() * (sigma(k, i) + mixed))
        })
    }

    fn var_shares(&self, sums: &Sums) -> Wanted {
        let all = 0..self.parts.len();
        let var = |k: usize, i: usize| self.parts[k].set(i).var;
        let share = |k: usize| self.parts[k].var_share;
        self.shares(&share, |k, i| {
            let [mean_slope, slope] = self.slopes(sums, i);
            let [near, far] = self.between(&share, k, |k, j| var(k, i) - var(j, i), |k| var(k, i));
            let mixed: f64 = all.clone().map(|j| share(j).abs() * var(j, i)).sum();
            // What the mixed mean is off by.
            let off = |j: usize| {
                let from: f64 = all.clone().map(|k| self.parts[k].mean_share * self.apart(j, k, i)).sum();
                self.parts[j].mean_share.abs()
                    * (var(j, i).max(0.0).sqrt() + (from + self.rest * self.parts[j].set(i).mean()).abs())
            };
            let drift = 0.5 * mean_slope.abs() * self.r[i].powi(2) * all.clone().map(off).sum::<f64>();
            let terms = 0.5 * self.r[i].powi(2) * sums.hx[i][1] + drift;
            (slope * near, terms * far + slope.abs() * (var(k, i) + mixed))
        })
    }

    /// What a share's statistic is compared with, and the size of it: the others by softmax, nothing if plain.
    fn between(
        &self,
        share: &dyn Fn(usize) -> f64,
        k: usize,
        apart: impl Fn(usize, usize) -> f64,
        alone: impl Fn(usize) -> f64,
    ) -> [f64; 2] {
        if self.layer.plain {
            return [alone(k), alone(k).abs()];
        }
        let each = (0..self.parts.len()).map(|j| share(j) * apart(k, j));
        [each.clone().sum(), each.map(f64::abs).sum()]
    }

    /// Sums over the instances.
    fn shares(&self, share: &dyn Fn(usize) -> f64, term: impl Fn(usize, usize) -> (f64, f64)) -> Wanted {
        let factor = |k: usize| if self.layer.plain { 1.0 } else { share(k) };
        let sum = |k: usize| {
            let terms = (0..self.r.len()).map(|i| term(k, i));
            let (value, size) = terms.fold((0.0, 0.0), |all, one| (all.0 + one.0, all.1 + one.1));
            (factor(k) * value, factor(k) * size)
        };
        let (values, magnitudes) = (0..self.parts.len()).map(sum).unzip();
        Wanted { values, magnitudes, roundings: 8.0 + (self.x.len() as f64).log2() }
    }
}
