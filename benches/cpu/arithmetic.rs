//! Sums over slices. Accumulators are as wide as several vector registers, which hides an addition's latency.

/// Accumulators side by side.
const LANES: usize = 32;
/// Elements that stay in the first cache between two passes.
const BLOCK: usize = 4096;

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

    pub fn merged<'a>(all: impl Iterator<Item = &'a Moments>) -> Moments {
        all.fold(Moments::default(), |merged, moments| merged.merge(moments))
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
}
