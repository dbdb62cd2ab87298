//! Sums over slices. Accumulators are as wide as several vector registers, which hides an addition's latency.

use std::iter::Sum;
use std::ops::AddAssign;

/// Accumulators side by side.
const LANES: usize = 16;
/// Those of the elements that are left: a vector register.
const FEW_LANES: usize = 4;
/// The most elements that are summed up without a merge, which keeps their digits.
const BLOCK: usize = 4096;
/// How many times longer a block may be than what its shift is the mean of: what cancels in the sum of its squares is at
/// most so many times what remains.
const GROWTH: usize = 4;

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
#[derive(Clone, Copy, Default)]
pub struct Statistics {
    pub shift: f32,
    pub mean: f32,
    pub scale: f32,
}

/// The sums of each of the terms that `f` makes of the inputs' elements.
fn sums<const N: usize, const M: usize>(inputs: [&[f32]; N], f: impl Fn([f32; N]) -> [f32; M]) -> [f32; M] {
    let len = inputs[0].len();
    let (wide, even) = (len - len % LANES, len - len % FEW_LANES);
    let many: [[f32; LANES]; M] = lane_sums(inputs.map(|x| &x[..wide]), &f);
    let few: [[f32; FEW_LANES]; M] = lane_sums(inputs.map(|x| &x[wide..even]), &f);
    let rest: [[f32; 1]; M] = lane_sums(inputs.map(|x| &x[even..]), &f);
    std::array::from_fn(|m| total(&many[m], &few[m]) + rest[m][0])
}

/// A sum for each lane of inputs that are whole numbers of `L` elements.
fn lane_sums<const L: usize, const N: usize, const M: usize>(
    inputs: [&[f32]; N],
    f: impl Fn([f32; N]) -> [f32; M],
) -> [[f32; L]; M] {
    let inputs = inputs.map(|x| x.as_chunks::<L>().0);
    let mut sums = [[0.0f32; L]; M];
    for at in 0..inputs[0].len() {
        let chunk = inputs.map(|x| &x[at]);
        for lane in 0..L {
            let terms = f(chunk.map(|x| x[lane]));
            for (sums, term) in sums.iter_mut().zip(terms) {
                sums[lane] += term;
            }
        }
    }
    sums
}

/// The sum of all lanes. A call of its own, before which they go to memory side by side: that is what makes the compiler
/// keep them in vector registers.
#[inline(never)]
fn total(many: &[f32; LANES], few: &[f32; FEW_LANES]) -> f32 {
    let mut sum = *few;
    for lanes in many.as_chunks::<FEW_LANES>().0 {
        sum.iter_mut().zip(lanes).for_each(|(sum, lane)| *sum += lane);
    }
    sum.iter().sum()
}

impl Moments {
    /// Of all values; if not `centered`, around 0.
    pub fn of(x: &[f32], centered: bool) -> Moments {
        if !centered {
            let squares =
                |x: &[f32]| Moments { count: x.len() as f32, m2: sums([x], |[x]| [x * x])[0], ..Moments::default() };
            return x.chunks(BLOCK).map(squares).sum();
        }
        let first = &x[..x.len().min(LANES)];
        let [sum] = sums([first], |[value]| [value - x[0]]);
        let mut all = Moments { shift: x[0] + sum / first.len() as f32, ..Moments::default() };
        let (mut rest, mut before) = (x, LANES);
        while !rest.is_empty() {
            let (block, more) = rest.split_at(rest.len().min(BLOCK).min(GROWTH * before));
            all += Moments::around(all.shift + all.mean, block);
            (rest, before) = (more, x.len() - more.len());
        }
        all
    }

    /// In one pass, for values whose mean is close to `shift`.
    fn around(shift: f32, x: &[f32]) -> Moments {
        let [sum, squares] = sums([x], |[x]| {
            let deviation = x - shift;
            [deviation, deviation * deviation]
        });
        let count = x.len() as f32;
        let mean = sum / count;
        Moments { count, shift, mean, m2: squares - sum * mean }
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
    /// The shift moves to the mean.
    pub fn new(shift: f32, mean: f32, variance: f32, eps: f32) -> Statistics {
        let center = shift + mean;
        Statistics { shift: center, mean: (shift - center) + mean, scale: 1.0 / (variance + eps).sqrt() }
    }

    fn normalized(&self, x: f32) -> f32 {
        ((x - self.shift) - self.mean) * self.scale
    }

    /// With one weight and bias.
    pub fn apply(&self, x: &[f32], y: &mut [f32], weight: f32, bias: f32) {
        let (shift, scale) = (self.shift, self.scale * weight);
        let offset = bias - self.mean * scale;
        for (y, x) in y.iter_mut().zip(x) {
            *y = (x - shift) * scale + offset;
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
        let block = |(x, dy)| self.to_normalized(sums([x, dy], |[x, dy]| [dy, dy * (x - self.shift)]));
        x.chunks(BLOCK).zip(dy.chunks(BLOCK)).map(block).sum()
    }

    /// Σ h and Σ h·x̂.
    pub fn weighted_sums(&self, x: &[f32], dy: &[f32], weight: &[f32]) -> Sums {
        let terms = |[x, dy, weight]: [f32; 3]| [dy * weight, dy * weight * (x - self.shift)];
        let blocks = x.chunks(BLOCK).zip(dy.chunks(BLOCK)).zip(weight.chunks(BLOCK));
        blocks.map(|((x, dy), weight)| self.to_normalized(sums([x, dy, weight], terms))).sum()
    }

    /// From Σ dy and Σ dy·(x − shift).
    pub fn to_normalized(self, [dy, dy_x]: [f32; 2]) -> Sums {
        Sums { dy, dy_x: (dy_x - self.mean * dy) * self.scale }
    }

    /// dx with one weight.
    pub fn backward(&self, [x, dy]: [&[f32]; 2], dx: &mut [f32], weight: f32, through: Through) {
        let (of_dy, [of_x, constant]) = (self.scale * weight, self.by_shift(through));
        for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
            *dx = of_dy * dy + (of_x * (x - self.shift) + constant);
        }
    }

    /// dx with a weight for each element.
    pub fn backward_each(&self, [x, dy]: [&[f32]; 2], dx: &mut [f32], weight: &[f32], through: Through) {
        let [of_x, constant] = self.by_shift(through);
        for (((dx, x), dy), weight) in dx.iter_mut().zip(x).zip(dy).zip(weight) {
            *dx = self.scale * weight * dy + (of_x * (x - self.shift) + constant);
        }
    }

    /// So much of x − shift, and so much besides, is what reaches dx.
    pub fn by_shift(&self, through: Through) -> [f32; 2] {
        let of_x = self.scale * self.scale * through.of_x;
        [of_x, self.scale * through.constant - of_x * self.mean]
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

impl AddAssign for Sums {
    fn add_assign(&mut self, more: Sums) {
        *self = Sums { dy: self.dy + more.dy, dy_x: self.dy_x + more.dy_x };
    }
}

impl AddAssign for Moments {
    fn add_assign(&mut self, more: Moments) {
        *self = self.merge(&more);
    }
}

/// The sum of all.
impl Sum for Sums {
    fn sum<I: Iterator<Item = Sums>>(all: I) -> Sums {
        sum_of(all)
    }
}

impl Sum for Moments {
    fn sum<I: Iterator<Item = Moments>>(all: I) -> Moments {
        sum_of(all)
    }
}

fn sum_of<T: AddAssign + Default>(all: impl Iterator<Item = T>) -> T {
    all.fold(T::default(), |mut sum, more| {
        sum += more;
        sum
    })
}
