//! The devices and strategies that every layer is tried with.

use gpunorm::unstable::{Caps, Geometry, Pass, Route, Strategy, SubgroupSizes, Team};
use gpunorm::{DType, Error, Gpu, NormSpec, Plan};

use super::adapters;

/// Sizes of subgroups among which the adapters' own are.
pub const VARYING: SubgroupSizes = SubgroupSizes { min: 4, max: 64 };

/// So small that tensors are bound in slices, and that a row may not fit one.
const SMALL_BINDING: u64 = 4 << 10;

/// Whether a case of these tests may be refused on `gpu`: where a strategy is forced that it does not have, or bindings are
/// small.
pub fn may_be_refused(gpu: &Gpu, error: &Error) -> bool {
    match error {
        Error::Strategy { .. } => true,
        Error::TooLarge { .. } => gpu.caps().max_binding == SMALL_BINDING,
        _ => false,
    }
}

/// The same of a call that takes tensors of this type along, and `keeps` a sum: 16-bit rows that share words keep none, and not
/// every device binds all of them.
pub fn may_be_refused_beside(gpu: &Gpu, dtype: DType, keeps: bool, error: &Error) -> bool {
    match error {
        Error::Neighbour { .. } => keeps && dtype != DType::F32,
        Error::TooLarge { unit: "storage buffers", .. } => true,
        _ => may_be_refused(gpu, error),
    }
}

/// The strategies that can be forced, and the plans that a GPU, or a device of the default limits, would get.
pub fn variants(gpu: &Gpu) -> Vec<(String, Gpu, Strategy)> {
    let mut variants = vec![("auto".to_owned(), gpu.clone(), Strategy::default())];
    for team in Team::ALL {
        if team == Team::Subgroup && gpu.caps().subgroup.is_none() {
            continue;
        }
        for route in [Route::Fused, Route::Split] {
            let strategy = Strategy { route: Some(route), team: Some(team), lanes: None };
            variants.push((format!("{route:?} {team:?}"), gpu.clone(), strategy));
        }
    }
    let hardware = Caps { software: false, ..*gpu.caps() };
    variants.push(("as hardware".into(), gpu.with_caps(hardware), Strategy::default()));
    if gpu.caps().subgroup.is_some() {
        let varying = Caps { subgroup: Some(VARYING), ..hardware };
        variants.push(("as a GPU whose driver chooses subgroups".into(), gpu.with_caps(varying), Strategy::default()));
    }
    let webgpu = Caps { software: false, ..Caps::WEBGPU };
    variants.push(("as WebGPU's defaults".into(), gpu.with_caps(webgpu), Strategy::default()));
    let small = Caps { max_binding: SMALL_BINDING, max_workgroups: 7, ..*gpu.caps() };
    variants.push(("in slices".into(), gpu.with_caps(small), Strategy::default()));
    variants
}

/// Every adapter as it is, as other devices and under every strategy.
pub fn everywhere() -> impl Iterator<Item = (String, Gpu, Strategy)> {
    adapters::all().flat_map(|(name, gpu)| {
        variants(gpu).into_iter().map(move |(variant, gpu, strategy)| (format!("{name}, {variant}"), gpu, strategy))
    })
}

/// Every second one of these, the others in the next `turn`.
pub fn everywhere_in_turn(turn: usize) -> impl Iterator<Item = (String, Gpu, Strategy)> {
    everywhere().skip(turn % 2).step_by(2)
}

/// What is planned of a layer, unless the forced strategy or the small bindings rule it out by a typed error.
pub fn planned(
    gpu: &Gpu,
    geometry: &Geometry,
    spec: &NormSpec,
    dtype: DType,
    strategy: Strategy,
    pass: Pass,
) -> Option<Plan> {
    match Plan::new(spec, geometry, dtype, gpu.caps(), strategy, pass) {
        Err(error) if may_be_refused(gpu, &error) => None,
        plan => Some(plan.unwrap()),
    }
}
