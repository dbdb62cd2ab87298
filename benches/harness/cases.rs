//! What is measured: the table of the goals, and shapes of real nets.

use gpunorm::{
    BatchNorm, DType, Gpu, GpuNorm, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm, SwitchableNorm, Tensor,
};
use half::{bf16, f16};
use ndarray::ArrayView1;
use serde_json::{Value, json};

/// A layer, and the shape and element type of its input.
#[derive(Clone)]
pub struct Case {
    pub name: &'static str,
    pub spec: NormSpec,
    pub shape: Vec<usize>,
    pub mode: Mode,
    pub dtype: DType,
}

/// All of them, those of the goals first, in f32.
pub fn all() -> Vec<Case> {
    let case = |name, spec: NormSpec, shape: &[usize]| {
        let (shape, mode, dtype) = (shape.to_vec(), Mode::Training, DType::F32);
        Case { name, spec, shape, mode, dtype }
    };
    let layer = |name, shape: &[usize]| case(name, LayerNorm::new(&shape[shape.len() - 1..]).into(), shape);
    let rms = |name, shape: &[usize]| case(name, RmsNorm::new(&shape[shape.len() - 1..]).into(), shape);
    let groups_of = |name, groups, shape: &[usize]| case(name, GroupNorm::new(groups, shape[1]).into(), shape);
    let group = |name, shape: &[usize]| groups_of(name, 32, shape);
    let bare = |name, shape: &[usize]| case(name, LayerNorm::new(&shape[1..]).affine(false).into(), shape);
    let instance = |name, shape: &[usize]| case(name, InstanceNorm::new(shape[1]).affine(true).into(), shape);
    let batch = |name, shape: &[usize]| case(name, BatchNorm::new(shape[1]).into(), shape);
    let switchable = |name, shape: &[usize]| case(name, SwitchableNorm::new(shape[1]).into(), shape);
    let evaluation = |case| Case { mode: Mode::Evaluation, ..case };
    let image = [16, 112, 112, 64];
    let last = |name, spec: NormSpec| case(name, spec, &image);
    let groups_last = GroupNorm::new(32, 64).channels_last().into();
    let first = |name, spec: NormSpec| case(name, spec, &[8, 96, 56, 56]);
    vec![
        layer("LayerNorm", &[16_384, 1024]),
        rms("RmsNorm", &[16_384, 1024]),
        layer("LayerNorm", &[4096, 4096]),
        rms("RmsNorm", &[4096, 4096]),
        layer("LayerNorm, short rows", &[262_144, 64]),
        layer("LayerNorm, long rows", &[64, 262_144]),
        group("GroupNorm(32)", &[16, 64, 112, 112]),
        instance("InstanceNorm", &[16, 64, 112, 112]),
        group("GroupNorm(32), one image", &[1, 512, 64, 64]),
        instance("InstanceNorm, one image", &[1, 64, 512, 512]),
        batch("BatchNorm", &[32, 64, 112, 112]),
        batch("BatchNorm, columns", &[65_536, 256]),
        evaluation(batch("BatchNorm, evaluation", &[32, 64, 112, 112])),
        switchable("SwitchableNorm", &[16, 64, 112, 112]),
        batch("BatchNorm, small", &[8, 64, 7, 7]),
        batch("BatchNorm, small", &[32, 512, 7, 7]),
        batch("ResNet-50 BatchNorm", &[32, 256, 56, 56]),
        batch("ResNet-50 BatchNorm", &[32, 1024, 14, 14]),
        batch("ResNet-50 BatchNorm", &[32, 2048, 7, 7]),
        layer("ViT-B LayerNorm", &[64, 197, 768]),
        layer("BERT LayerNorm", &[32, 512, 768]),
        rms("Llama RmsNorm, prompt", &[1, 2048, 4096]),
        rms("Llama RmsNorm, token", &[1, 1, 4096]),
        group("UNet GroupNorm(32)", &[2, 320, 64, 64]),
        group("UNet GroupNorm(32)", &[2, 1280, 16, 16]),
        instance("Style InstanceNorm", &[1, 32, 512, 512]),
        instance("Style InstanceNorm", &[1, 128, 128, 128]),
        switchable("ResNet-50 SwitchableNorm", &[32, 64, 56, 56]),
        switchable("ResNet-50 SwitchableNorm", &[32, 512, 7, 7]),
        layer("LayerNorm, tiny rows", &[65_537, 2]),
        bare("LayerNorm, tiny rows", &[32_769, 8]),
        groups_of("GroupNorm(4), tiny rows", 4, &[16_384, 8, 4]),
        instance("InstanceNorm, tiny rows", &[8192, 4, 16]),
        switchable("SwitchableNorm, tiny rows", &[65_537, 4, 1]),
        last("BatchNorm, NHWC", BatchNorm::new(64).channels_last().into()),
        last("InstanceNorm, NHWC", InstanceNorm::new(64).affine(true).channels_last().into()),
        last("GroupNorm(32), NHWC", groups_last),
        last("SwitchableNorm, NHWC", SwitchableNorm::new(64).channels_last().into()),
        first("LayerNorm over channels", LayerNorm::new(96).channels_first().into()),
        first("RmsNorm over channels", RmsNorm::new(96).channels_first().into()),
        // As many rows, contiguous: what those over channels are held to.
        layer("LayerNorm, rows of 96", &[25_088, 96]),
        rms("RmsNorm, rows of 96", &[25_088, 96]),
    ]
}

impl Case {
    /// The same of another element type.
    pub fn of(&self, dtype: DType) -> Case {
        Case { dtype, ..self.clone() }
    }

    /// Norm, shape, mode and element type in one word, the same in every program that measures it.
    pub fn id(&self) -> String {
        let shape: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        let mode = if self.mode == Mode::Evaluation { "-evaluation" } else { "" };
        let dtype = if self.dtype == DType::F32 { String::new() } else { format!("-{}", self.dtype) };
        let layout = match () {
            _ if self.spec.channels_last() => "-channels-last",
            _ if self.spec.channels_first() => "-channels-first",
            _ => "",
        };
        format!("{}-{}{layout}{mode}{dtype}", self.norm(), shape.join("x"))
    }

    /// Whether peers can have it: their channels are where torch's are.
    pub fn for_peers(&self) -> bool {
        !self.spec.channels_last() && !self.spec.channels_first()
    }

    fn norm(&self) -> &'static str {
        match self.spec {
            NormSpec::Batch(_) => "batch",
            NormSpec::Layer(_) => "layer",
            NormSpec::Instance(_) => "instance",
            NormSpec::Group(_) => "group",
            NormSpec::Switchable(_) => "switchable",
            NormSpec::Rms(_) => "rms",
            _ => unimplemented!("{}", self.spec.name()),
        }
    }

    /// What benches/peers reads.
    pub fn to_json(&self) -> Value {
        let trailing = matches!(self.spec, NormSpec::Layer(_) | NormSpec::Rms(_));
        json!({
            "id": self.id(), "name": self.name, "norm": self.norm(), "shape": self.shape,
            "groups": self.spec.num_groups(), "affine": self.spec.has_weight(),
            "normalized": trailing.then(|| &self.shape[self.shape.len() - 1..]),
            "training": self.mode == Mode::Training,
        })
    }

    pub fn shape_text(&self) -> String {
        format!("{:?}", self.shape).replace(", ", "x")
    }

    /// The layer, in the case's mode.
    pub fn layer(&self, gpu: &Gpu) -> gpunorm::Result<GpuNorm> {
        let mut norm = GpuNorm::new(gpu, self.spec.clone())?;
        if self.mode == Mode::Evaluation {
            norm.eval();
        }
        Ok(norm)
    }

    /// The number of weights.
    pub fn parameters(&self) -> usize {
        match self.spec {
            NormSpec::Layer(_) | NormSpec::Rms(_) if self.spec.channels_first() => self.shape[1],
            NormSpec::Layer(_) | NormSpec::Rms(_) => self.shape[self.shape.len() - 1],
            _ if self.spec.channels_last() => self.shape[self.shape.len() - 1],
            _ => self.shape[1],
        }
    }

    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// A tensor of the case's shape and type.
    pub fn tensor(&self, gpu: &Gpu, values: &[f32]) -> gpunorm::Result<Tensor> {
        Tensor::from_array_as(gpu, &ArrayView1::from(values), self.dtype)?.reshape(&self.shape)
    }

    /// Values of no special kind around a mean of 3 with a deviation of about 2, which the element type has.
    pub fn values(&self, mut seed: u32) -> Vec<f32> {
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = (seed >> 8) as f32 / (1 << 24) as f32 * 7.0 - 0.5;
            match self.dtype {
                DType::F16 => f16::from_f32(value).to_f32(),
                DType::BF16 => bf16::from_f32(value).to_f32(),
                _ => value,
            }
        };
        (0..self.len()).map(|_| next()).collect()
    }
}
