//! Sums over slices. Accumulators are as wide as several vector registers, which hides an addition's latency.

use std::iter::Sum;

/// Accumulators side by side.
const LANES: usize = 32;
/// Elements that stay in the first cache between two passes.
const BLOCK: usize = 4096;

/// Σ dy and Σ dy·x̂; or with h = dy·weight in place of dy; or, of a switchable norm's instance, the gradients by its mean
/// and its variance.
#[derive(Clone, Copy, Default)]
pub struct Sums {
    pub dy: f32,
    pub dy_x: f32,
}

/// What reaches an element through the statistics: dx = scale·(weight·dy + of_x·x̂ + constant).
#[derive(Clone, Copy, Default)]
pub struct Through {
    pub of_x: f32,
    pub constant: f32,
}

/// Count, mean (`shift + mean`, two numbers) and squared deviations.
#[derive(Clone, Copy, Default)]
pub struct Moments {
    pub count: f32,
    pub shift: f32,
    pub mean: f32,
    pub m2: f32,
}

/// y = ((x − shift) − mean)·scale·weight + bias.
#[derive(Clone, Copy)]
pub struct Statistics {
    pub shift: f32,
    pub mean: f32,
    pub scale: f32,
}

/// Σ f(x).
fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += f(value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += f(value);
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    lanes[0]
}

impl Moments {
    /// Of all values; if not `centered`, around 0.
    pub fn of(x: &[f32], centered: bool) -> Moments {
        let mut all = Moments { shift: if centered { x[0] } else { 0.0 }, ..Moments::default() };
        for block in x.chunks(BLOCK) {
            let (count, shift) = (block.len() as f32, all.shift);
            let mean = if centered { sum(block, |x| x - shift) / count } else { 0.0 };
            let m2 = sum(block, |x| {
                let deviation = (x - shift) - mean;
                deviation * deviation
            });
            all = all.merge(&Moments { count, shift, mean, m2 });
        }
        all
    }

    /// Chan, Golub & LeVeque 1983; the shift moves to the mean.
    pub fn merge(&self, b: &Moments) -> Moments {
        if self.count == 0.0 {
            return *b;
        }
        let share = b.count / (self.count + b.count);
        let delta = (b.shift - self.shift) + (b.mean - self.mean);
        let mean = self.mean + delta * share;
        let shift = self.shift + mean;
        Moments {
            count: self.count + b.count,
            shift,
            mean: (self.shift - shift) + mean,
            m2: self.m2 + b.m2 + delta * delta * (self.count * share),
        }
    }

    pub fn variance(&self) -> f32 {
        self.m2 / self.count
    }

    pub fn statistics(&self, eps: f32) -> Statistics {
        Statistics::new(self.shift, self.mean, self.variance(), eps)
    }
}

impl Statistics {
    pub fn new(shift: f32, mean: f32, variance: f32, eps: f32) -> Statistics {
        Statistics { shift, mean, scale: 1.0 / (variance + eps).sqrt() }
    }

    fn normalized(&self, x: f32) -> f32 {
        ((x - self.shift) - self.mean) * self.scale
    }

    /// With one weight and bias.
    pub fn apply(&self, x: &[f32], y: &mut [f32], weight: f32, bias: f32) {
        let Statistics { shift, mean, scale } = *self;
        let scale = scale * weight;
        for (y, x) in y.iter_mut().zip(x) {
            *y = ((x - shift) - mean) * scale + bias;
        }
    }

    /// With a weight and a bias for each element.
    pub fn apply_each(&self, x: &[f32], y: &mut [f32], weight: &[f32], bias: Option<&[f32]>) {
        let Statistics { shift, mean, scale } = *self;
        match bias {
            Some(bias) => {
                for (((y, x), w), b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                    *y = ((x - shift) - mean) * (scale * w) + b;
                }
            }
            None => {
                for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
                    *y = ((x - shift) - mean) * (scale * w);
                }
            }
        }
    }
    /// Σ dy and Σ dy·x̂.
    pub fn sums(&self, x: &[f32], dy: &[f32]) -> Sums {
        x.chunks(BLOCK).zip(dy.chunks(BLOCK)).map(|(x, dy)| self.block_sums(x, dy)).sum()
    }

    /// Σ h and Σ h·x̂.
    pub fn weighted_sums(&self, x: &[f32], dy: &[f32], weight: &[f32]) -> Sums {
        let mut h = [0.0; BLOCK];
        let blocks = x.chunks(BLOCK).zip(dy.chunks(BLOCK)).zip(weight.chunks(BLOCK));
        let sums = blocks.map(|((x, dy), weight)| {
            let h = &mut h[..x.len()];
            h.iter_mut().zip(dy).zip(weight).for_each(|((h, dy), weight)| *h = dy * weight);
            self.block_sums(x, h)
        });
        sums.sum()
    }

    fn block_sums(&self, x: &[f32], dy: &[f32]) -> Sums {
        const LANES: usize = 16;
        let (mut plain, mut with_x) = ([0.0f32; LANES], [0.0f32; LANES]);
        let ((xs, x_rest), (dys, dy_rest)) = (x.as_chunks::<LANES>(), dy.as_chunks::<LANES>());
        let mut add = |x: &[f32], dy: &[f32]| {
            for (((plain, with_x), &x), &dy) in plain.iter_mut().zip(&mut with_x).zip(x).zip(dy) {
                *plain += dy;
                *with_x += dy * self.normalized(x);
            }
        };
        xs.iter().zip(dys).for_each(|(x, dy)| add(x, dy));
        add(x_rest, dy_rest);
        Sums { dy: plain.iter().sum(), dy_x: with_x.iter().sum() }
    }

    /// dx with one weight.
    pub fn backward(&self, [x, dy]: [&[f32]; 2], dx: &mut [f32], weight: f32, through: Through) {
        for ((dx, &x), dy) in dx.iter_mut().zip(x).zip(dy) {
            *dx = self.scale * (weight * dy + (through.of_x * self.normalized(x) + through.constant));
        }
    }

    /// dx with a weight for each element.
    pub fn backward_each(&self, [x, dy]: [&[f32]; 2], dx: &mut [f32], weight: &[f32], through: Through) {
        for (((dx, &x), dy), weight) in dx.iter_mut().zip(x).zip(dy).zip(weight) {
            *dx = self.scale * (weight * dy + (through.of_x * self.normalized(x) + through.constant));
        }
    }

    /// Adds dy·x̂ and dy to the gradients of each element's weight and bias.
    pub fn add_each(&self, [x, dy]: [&[f32]; 2], weight: &mut [f32], bias: &mut [f32]) {
        for (((weight, bias), &x), dy) in weight.iter_mut().zip(bias).zip(x).zip(dy) {
            *weight += dy * self.normalized(x);
            *bias += dy;
        }
    }
}

impl Sums {
    pub fn times(&self, weight: f32) -> Sums {
        Sums { dy: self.dy * weight, dy_x: self.dy_x * weight }
    }

    /// From sums of h over the `len` elements of a statistic.
    pub fn through(&self, len: usize) -> Through {
        Through { of_x: -self.dy_x / len as f32, constant: -self.dy / len as f32 }
    }

    /// The gradients by a mean and a variance, from sums of h.
    pub fn by_moments(&self, scale: f32) -> Sums {
        Sums { dy: -self.dy * scale, dy_x: -0.5 * self.dy_x * scale * scale }
    }
}

impl Sum for Sums {
    fn sum<I: Iterator<Item = Sums>>(all: I) -> Sums {
        all.fold(Sums::default(), |sum, more| Sums { dy: sum.dy + more.dy, dy_x: sum.dy_x + more.dy_x })
    }
}

impl<'a> Sum<&'a Sums> for Sums {
    fn sum<I: Iterator<Item = &'a Sums>>(all: I) -> Sums {
        all.copied().sum()
    }
}

impl<'a> Sum<&'a Moments> for Moments {
    fn sum<I: Iterator<Item = &'a Moments>>(all: I) -> Moments {
        all.fold(Moments::default(), |merged, moments| merged.merge(moments))
    }
}
