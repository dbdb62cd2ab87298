//! Shapes that layers do not take, and what they say of them.

use gpunorm::{BatchNorm, GroupNorm, InstanceNorm, LayerNorm, Mode, NormSpec, RmsNorm, SwitchableNorm, Variance};

use super::data;

pub struct Refusal {
    pub spec: NormSpec,
    pub mode: Mode,
    pub shape: Vec<usize>,
    pub told: String,
}

/// The layer with another eps.
pub fn eps_of(spec: &NormSpec, eps: f32) -> NormSpec {
    match spec.clone() {
        NormSpec::Batch(norm) => norm.eps(eps).into(),
        NormSpec::Layer(norm) => norm.eps(eps).into(),
        NormSpec::Instance(norm) => norm.eps(eps).into(),
        NormSpec::Group(norm) => norm.eps(eps).into(),
        NormSpec::Switchable(norm) => norm.eps(eps).into(),
        NormSpec::Rms(norm) => norm.eps(eps).into(),
        _ => unimplemented!("{}", spec.name()),
    }
}

pub fn shapes() -> Vec<Refusal> {
    use Mode::{Evaluation, Training};
    let mut all = vec![];
    let mut refuse = |spec: &NormSpec, mode, shape: &[usize], told: &str| {
        all.push(Refusal { spec: spec.clone(), mode, shape: shape.to_vec(), told: told.to_owned() });
    };
    let batch = NormSpec::from(BatchNorm::new(6));
    let instance = NormSpec::from(InstanceNorm::new(6).track_running_stats(true));
    let unbatched = NormSpec::from(InstanceNorm::new(6).unbatched(true));
    let group = NormSpec::from(GroupNorm::new(2, 6));
    let switchable = NormSpec::from(SwitchableNorm::new(6));
    let reference = NormSpec::from(SwitchableNorm::new(6).variance(Variance::Reference));
    let layer = NormSpec::from(LayerNorm::new([3, 5]));
    let rms = NormSpec::from(RmsNorm::new([5]));
    let tail =
        |least, layout, shape| format!("expected an input of at least {least} dimensions {layout}, got shape {shape}");
    for mode in [Training, Evaluation] {
        refuse(&batch, mode, &[], &format!("batch norm: {}", tail(2, "[N, C, *]", "[]")));
        refuse(&batch, mode, &[6], &format!("batch norm: {}", tail(2, "[N, C, *]", "[6]")));
        refuse(&group, mode, &[6], &format!("group norm: {}", tail(2, "[N, C, *]", "[6]")));
        refuse(&switchable, mode, &[6], &format!("switchable norm: {}", tail(2, "[N, C, *]", "[6]")));
        refuse(&instance, mode, &[6], &format!("instance norm: {}", tail(2, "[N, C, *] or [C, L]", "[6]")));
        refuse(&unbatched, mode, &[6], &format!("instance norm: {}", tail(2, "[C, *]", "[6]")));
        refuse(&batch, mode, &[2, 5, 3], "batch norm: expected 6 channels in dimension 1, got 5 in shape [2, 5, 3]");
        refuse(&batch, mode, &[6, 0], "batch norm: expected 6 channels in dimension 1, got 0 in shape [6, 0]");
        refuse(&instance, mode, &[5, 6], "instance norm: expected 6 channels in dimension 0, got 5 in shape [5, 6]");
        refuse(
            &unbatched,
            mode,
            &[5, 6, 2],
            "instance norm: expected 6 channels in dimension 0, got 5 in shape [5, 6, 2]",
        );
        refuse(&group, mode, &[2, 4, 3], "group norm: expected 6 channels in dimension 1, got 4 in shape [2, 4, 3]");
        refuse(
            &switchable,
            mode,
            &[2, 7],
            "switchable norm: expected 6 channels in dimension 1, got 7 in shape [2, 7]",
        );
        refuse(&layer, mode, &[2, 3, 4], "layer norm: expected an input of shape [*, 3, 5], got [2, 3, 4]");
        refuse(&layer, mode, &[5], "layer norm: expected an input of shape [*, 3, 5], got [5]");
        refuse(&rms, mode, &[], "rms norm: expected an input of shape [*, 5], got []");
        refuse(
            &group,
            mode,
            &[2, 6, 0],
            "group norm: the product of the spatial dimensions must be greater than 0, got shape [2, 6, 0]",
        );
        for spec in [&batch, &group, &switchable] {
            let (spec, name) = (data::exchanged(spec.clone()), spec.name());
            refuse(&spec, mode, &[6], &format!("{name}: {}", tail(2, "[N, *, C]", "[6]")));
            let told = "expected 6 channels in dimension 2, got 3 in shape [2, 6, 3]";
            refuse(&spec, mode, &[2, 6, 3], &format!("{name}: {told}"));
        }
        for (spec, layout) in [(&instance, "[N, *, C] or [L, C]"), (&unbatched, "[*, C]")] {
            let spec = data::exchanged(spec.clone());
            refuse(&spec, mode, &[6], &format!("instance norm: {}", tail(2, layout, "[6]")));
            let told = "instance norm: expected 6 channels in dimension 1, got 5 in shape [6, 5]";
            refuse(&spec, mode, &[6, 5], told);
        }
        let places = NormSpec::from(RmsNorm::new(5).channels_first());
        refuse(&places, mode, &[5], &format!("rms norm: {}", tail(2, "[N, C, *]", "[5]")));
        refuse(&places, mode, &[2, 3, 5], "rms norm: expected 5 channels in dimension 1, got 3 in shape [2, 3, 5]");
        refuse(
            &data::exchanged(group.clone()),
            mode,
            &[2, 0, 6],
            "group norm: the product of the spatial dimensions must be greater than 0, got shape [2, 0, 6]",
        );
        let one =
            |per: &str, shape| format!("expected more than 1 value per {per} to take statistics of, got shape {shape}");
        refuse(&GroupNorm::new(6, 6).into(), mode, &[1, 6, 1], &format!("group norm: {}", one("group", "[1, 6, 1]")));
        let untracked = NormSpec::from(BatchNorm::new(6).track_running_stats(false));
        refuse(&untracked, mode, &[1, 6, 1], &format!("batch norm: {}", one("channel", "[1, 6, 1]")));
        refuse(
            &InstanceNorm::new(6).into(),
            mode,
            &[4, 6, 1],
            &format!("instance norm: {}", one("instance", "[4, 6, 1]")),
        );
        refuse(&reference, mode, &[4, 6], &format!("switchable norm: {}", one("instance", "[4, 6]")));
        let limit = isize::MAX as usize / 8;
        for shape in [&[usize::MAX, 6][..], &[usize::MAX, 2, 0], &[usize::MAX; 40]] {
            let needed = shape.iter().fold(1u64, |product, &size| product.saturating_mul(size.max(1) as u64));
            refuse(&batch, mode, shape, &format!("the input needs {needed} elements, this device allows {limit}"));
        }
        let negative = eps_of(&batch, -1.0);
        let (bound, told) = match mode {
            Training => ("positive", "batch norm: eps must be positive with the batch's statistics, got -1"),
            Evaluation => ("non-negative", "batch norm: eps must be non-negative with running statistics, got -1"),
        };
        refuse(&negative, mode, &[2, 6], told);
        assert!(told.contains(bound));
    }
    refuse(
        &batch,
        Training,
        &[1, 6],
        "batch norm: expected more than 1 value per channel to take statistics of, got shape [1, 6]",
    );
    refuse(
        &eps_of(&batch, 0.0),
        Training,
        &[2, 6],
        "batch norm: eps must be positive with the batch's statistics, got 0",
    );
    let flat = SwitchableNorm::new(6).instance_statistics(false).variance(Variance::Reference);
    refuse(
        &flat.into(),
        Training,
        &[1, 6],
        "switchable norm: expected more than 1 value per channel to take statistics of, got shape [1, 6]",
    );
    refuse(
        &instance,
        Training,
        &[6, 1],
        "instance norm: expected more than 1 value per instance to take statistics of, got shape [6, 1]",
    );
    all
}
