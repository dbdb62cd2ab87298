//! A layer in plain words: what the fuzzer chooses, says to the crate as a spec, and computes from.

use gpunorm::{
    BatchNorm, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm, SwitchableNorm, Variance, Weighting,
};

use super::super::super::data;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Batch,
    Instance,
    Group,
    Layer,
    Rms,
    Switchable,
}

#[derive(Debug, Clone)]
pub struct Layer {
    pub kind: Kind,
    /// Of the input; of layer and RMS norm the normalized elements.
    pub channels: usize,
    pub groups: usize,
    /// How many trailing dimensions layer and RMS norm take.
    pub trailing: usize,
    pub eps: f32,
    pub affine: bool,
    pub bias: bool,
    pub track: bool,
    /// None is torch's: a plain average.
    pub momentum: Option<f32>,
    pub unbatched: bool,
    pub plain: bool,
    pub reference: bool,
    pub instance: bool,
    pub batch: bool,
    /// Whether inputs have their channels last, or of layer and RMS norm over one dimension first.
    pub exchanged: bool,
}

macro_rules! options {
    ($norm:expr, $layer:expr) => {{
        let norm = $norm.eps($layer.eps).affine($layer.affine).bias($layer.bias);
        match $layer.momentum {
            Some(momentum) => norm.momentum(momentum),
            None => norm.cumulative_average(),
        }
    }};
}

impl Layer {
    pub fn spec(&self, shape: &[usize]) -> NormSpec {
        let normalized = || &shape[shape.len() - self.trailing..];
        let spec = match self.kind {
            Kind::Batch => options!(BatchNorm::new(self.channels), self).track_running_stats(self.track).into(),
            Kind::Instance => {
                let norm = options!(InstanceNorm::new(self.channels), self);
                norm.track_running_stats(self.track).unbatched(self.unbatched).into()
            }
            Kind::Group => {
                GroupNorm::new(self.groups, self.channels).eps(self.eps).affine(self.affine).bias(self.bias).into()
            }
            Kind::Layer => LayerNorm::new(normalized()).eps(self.eps).affine(self.affine).bias(self.bias).into(),
            Kind::Rms => RmsNorm::new(normalized()).eps(self.eps).affine(self.affine).into(),
            Kind::Switchable => options!(SwitchableNorm::new(self.channels), self)
                .weighting(if self.plain { Weighting::Plain } else { Weighting::Softmax })
                .variance(if self.reference { Variance::Reference } else { Variance::Biased })
                .instance_statistics(self.instance)
                .batch_statistics(self.batch)
                .into(),
        };
        if self.exchanged { data::exchanged(spec) } else { spec }
    }

    pub fn is_trailing(&self) -> bool {
        matches!(self.kind, Kind::Layer | Kind::Rms)
    }

    /// N, C and S; of layer and RMS norm C is 1.
    pub fn view(&self, shape: &[usize]) -> [usize; 3] {
        let product = |sizes: &[usize]| sizes.iter().product();
        if self.is_trailing() {
            let (outer, normalized) = shape.split_at(shape.len() - self.trailing);
            [product(outer), 1, product(normalized)]
        } else if self.kind == Kind::Instance && (self.unbatched || shape.len() == 2) {
            [1, shape[0], product(&shape[1..])]
        } else {
            [shape[0], shape[1], product(&shape[2..])]
        }
    }

    /// Whether there are running statistics.
    pub fn tracks(&self) -> bool {
        match self.kind {
            Kind::Batch | Kind::Instance => self.track,
            Kind::Switchable => self.batch,
            _ => false,
        }
    }

    pub fn has_weight(&self) -> bool {
        self.affine
    }

    pub fn has_bias(&self) -> bool {
        self.affine && self.bias && self.kind != Kind::Rms
    }

    /// How many statistics are mixed; 0 where none are.
    pub fn mixed(&self) -> usize {
        if self.kind == Kind::Switchable { 1 + usize::from(self.instance) + usize::from(self.batch) } else { 0 }
    }

    /// The authors' rank-2 form of switchable norm.
    pub fn is_flat(&self, spatial: usize) -> bool {
        self.reference && !self.instance && spatial == 1
    }

    /// Whether torch and the README have a meaning for such an input.
    pub fn takes(&self, shape: &[usize], mode: Mode) -> bool {
        let [n, c, s] = self.view(shape);
        let running = mode == Mode::Evaluation && self.tracks();
        match self.kind {
            _ if c == 0 => false,
            Kind::Batch => running || n * s != 1 && self.eps > 0.0,
            Kind::Instance => running || s != 1,
            Kind::Group => s > 0 && n * (c / self.groups) * s != 1,
            Kind::Layer | Kind::Rms => true,
            Kind::Switchable if !self.reference => self.mixed() > 1,
            Kind::Switchable if self.is_flat(s) => self.mixed() > 1 && c != 1 && (running || n != 1),
            Kind::Switchable => self.mixed() > 1 && s != 1,
        }
    }
}
