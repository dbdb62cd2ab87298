//! Every strategy that can be forced, over the fuzzer's cases: right, or refused by name.

use gpunorm::Error;
use gpunorm::unstable::{Caps, Route, Strategy, Team};

use super::super::{adapters, settings};
use super::fuzz::case::Case;
use super::fuzz::run::{Expected, Failure};

const CASES: usize = 8;

fn strategies() -> Vec<Strategy> {
    let teams = [None, Some(Route::Fused), Some(Route::Split)]
        .into_iter()
        .flat_map(|route| Team::ALL.map(|team| Strategy { route, team: Some(team), lanes: None }));
    let lanes = [1, 3, 16, 5000, u32::MAX].map(|lanes| Strategy { lanes: Some(lanes), ..Strategy::default() });
    teams.chain(lanes).collect()
}

#[test]
fn forced_strategies() {
    let seed = settings::seed();
    let small = |case: &Case| (1..3000).contains(&case.shape.iter().product::<usize>());
    let mut ran = vec![0; strategies().len()];
    let mut failed = vec![];
    for mut case in (seed..).map(Case::new).filter(small).take(CASES) {
        (case.device, case.ceiling) = (0, None);
        let expected = Expected::of(&case);
        for (name, gpu) in adapters::all() {
            // As a GPU would be planned for, too.
            let gpu = gpu.with_caps(Caps { software: gpu.caps().software && case.seed % 2 == 0, ..*gpu.caps() });
            for (strategy, ran) in strategies().into_iter().zip(&mut ran) {
                case.strategy = strategy;
                match expected.check(&case, &gpu) {
                    Ok(()) => *ran += 1,
                    Err(Failure::Refused(Error::Strategy { .. } | Error::TooLarge { .. })) => {}
                    Err(failure) => failed.push(format!("{name}, {failure}, {case:?}")),
                }
            }
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
    for (strategy, ran) in strategies().iter().zip(ran) {
        let possible =
            strategy.team != Some(Team::Subgroup) || adapters::all().any(|(_, gpu)| gpu.caps().subgroup.is_some());
        assert!(ran > 0 || !possible, "{strategy:?} never ran");
    }
}
