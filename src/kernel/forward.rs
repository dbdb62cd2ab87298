//! The kernels of a forward: the pieces of each, how often it loops, and what varies in it.

use super::alternatives::{Beside, Element, Parameters, Registers, RunningStatistics, Save, StatisticsFrom, Team};
use super::declaration::{Declaration, Declared};
use super::kernels::Kernel;
use super::launch::{Launch, chained};
use super::part;
use super::piece::{Link, Piece, piece};

/// Every forward kernel that a plan can pick.
pub(super) fn all() -> Vec<Kernel> {
    let rows_and_columns = [all_rows(), all_columns(), all_applies(), all_columns_applied()].concat();
    [rows_and_columns, all_moments(), all_combines(), all_instances(), all_axes(), all_folds()].concat()
}

/// A kernel of a forward: its teams reduce moments, of a `sum` or of the input alone.
fn declare(
    own: &'static Piece,
    team: Team,
    element: Option<Element>,
    sum: bool,
    pieces: impl Fn(&mut Link),
    iterations: impl Fn(&Launch) -> u64,
) -> Declaration<impl Fn(&mut Link), impl Fn(&Launch) -> u64> {
    let pieces = move |link: &mut Link| {
        link(&[part::PARTIAL_MOMENTS]);
        if let Some(element) = element {
            part::link_input(element, sum, link);
        }
        pieces(link);
    };
    Declaration::new(own, team, element, pieces, iterations)
}

pub(super) fn row(
    team: Team,
    element: Element,
    units: u32,
    parameters: Parameters,
    save: Save,
    track: bool,
    beside: Beside,
) -> impl Declared {
    let pieces = move |link: &mut Link| {
        link(&part::Y_AND_X);
        link(&[part::WALK, part::units(units), part::HELD, part::FULL, part::EDGES, part::TILE, part::NORMALIZE]);
        beside.link_output(element, parameters, link);
        link(save.pieces());
        link(part::track_running_if(track));
    };
    let iterations = move |launch: &Launch| {
        let written = if launch.is("ONE_TILE") { u64::from(units) } else { launch.per_lane(launch.params.units) };
        launch.tiles() * moments_tile(units) + launch.reduce() + written * (1 + 2 * launch.parameter_loops(parameters))
    };
    let declaration = declare(piece!("forward_row"), team, Some(element), beside.sum, pieces, iterations);
    declaration.tiled(moments_tile(units))
}

fn all_rows() -> Vec<Kernel> {
    let (nothing, statistics) = (Save::Nothing, Save::Statistics);
    let mut all = vec![];
    for (team, element, units) in Team::holding(Element::written(), Registers::Row) {
        for parameters in Parameters::of_units(element, Beside::NOTHING) {
            let by_channel = [(Save::Moments, false), (nothing, true), (statistics, true)].into_iter();
            // Rows whose parameters are read in fours are of layer and RMS norm, which track nothing.
            let by_channel = by_channel.filter(|_| !parameters.quads());
            for (save, track) in by_channel.chain([(nothing, false), (statistics, false)]) {
                let beside = Beside::NOTHING;
                all.push(Kernel::ForwardRow { team, element, units, parameters, save, track, beside });
            }
        }
    }
    for (element, team) in Element::written().flat_map(|element| Team::ALL.map(|team| (element, team))) {
        let (units, track) = (team.units_beside(element), false);
        // With neighbours, an override says whether it saves.
        for beside in Beside::any() {
            let row = |parameters| {
                let save = statistics;
                Kernel::ForwardRow { team, element, units, parameters, save, track, beside }
            };
            all.extend(Parameters::of_units(element, beside).map(row));
        }
    }
    all
}

pub(super) fn moments(team: Team, element: Element, units: u32, sum: bool) -> impl Declared {
    let pieces = move |link: &mut Link| {
        link(&[part::X, part::WALK, part::units(units), part::HELD, part::FULL, part::EDGES, part::KEPT_NONE]);
        link(&[part::TILE, part::SEGMENT]);
        link(Save::Moments.pieces());
    };
    let iterations = move |launch: &Launch| launch.tiles() * moments_tile(units) + launch.reduce();
    let declaration = declare(piece!("forward_moments"), team, Some(element), sum, pieces, iterations);
    declaration.tiled(moments_tile(units))
}

fn all_moments() -> Vec<Kernel> {
    let all = Team::holding(Element::all(), Registers::Row).into_iter();
    let moments =
        |(team, element, units)| [false, true].map(|sum| Kernel::ForwardMoments { team, element, units, sum });
    all.flat_map(moments).collect()
}

/// Reading a tile, its sum and its squares are loops of their own, and one that asks whether the squares fit.
fn moments_tile(units: u32) -> u64 {
    1 + 4 * u64::from(units)
}

pub(super) fn combine(team: Team, track: bool, save: Save) -> impl Declared {
    let pieces = move |link: &mut Link| {
        link(&[part::WALK, part::MOMENTS_IN]);
        link(save.pieces());
        link(part::track_running_if(track));
    };
    let iterations = |launch: &Launch| chained(launch.per_lane(launch.params.units)) + launch.reduce();
    declare(piece!("forward_combine"), team, None, false, pieces, iterations)
}

fn all_combines() -> Vec<Kernel> {
    let combine = |team| {
        let [save, combined] = [Save::Statistics, Save::Combined];
        let of_rows = [false, true].map(|track| Kernel::ForwardCombine { team, track, save });
        of_rows.into_iter().chain([Kernel::ForwardCombine { team, track: false, save: combined }])
    };
    let of_ranks = Kernel::ForwardCombine { team: Team::Invocation, track: true, save: Save::Combined };
    Team::ALL.into_iter().flat_map(combine).chain([of_ranks]).collect()
}

pub(super) fn instances(team: Team) -> impl Declared {
    let pieces = |link: &mut Link| {
        link(&[part::MOMENTS_IN, part::INSTANCE_MOMENTS, part::STATISTICS_OUT, part::UPDATE_RUNNING]);
    };
    let iterations =
        |launch: &Launch| launch.per_lane(launch.params.samples) * (1 + launch.parts()) + 2 * launch.reduce();
    declare(piece!("forward_instances"), team, None, false, pieces, iterations)
}

fn all_instances() -> Vec<Kernel> {
    Team::ALL.map(|team| Kernel::ForwardInstances { team }).to_vec()
}

pub(super) fn axes(team: Team, running: RunningStatistics) -> impl Declared {
    let own = piece!("forward_axes", reads: [MeanWeight, VarWeight], writes: [Axes]);
    let pieces = move |link: &mut Link| {
        link(&[part::TWO_SUM, part::MOMENTS_IN, part::INSTANCE_MOMENTS, part::ITEMS]);
        link(running.pieces());
    };
    let iterations = |launch: &Launch| {
        let entries = launch.per_item([launch.params.channels, launch.params.samples]);
        chained(entries) + entries * launch.parts() + launch.reduce()
    };
    declare(own, team, None, false, pieces, iterations)
}

fn all_axes() -> Vec<Kernel> {
    let all = [RunningStatistics::None, RunningStatistics::Update, RunningStatistics::Use];
    let axes = |team| all.map(|running| Kernel::ForwardAxes { team, running });
    Team::ALL.into_iter().flat_map(axes).collect()
}

pub(super) fn columns(element: Element, sum: bool) -> impl Declared {
    let pieces = |link: &mut Link| {
        link(&[part::X, part::FULL, part::COLUMNS, part::units(Kernel::COLUMN_UNITS), part::MOMENTS_OUT]);
    };
    let iterations = |launch: &Launch| launch.columns(1, 2 * u64::from(Kernel::COLUMN_UNITS));
    declare(piece!("forward_columns"), Team::Invocation, Some(element), sum, pieces, iterations)
}

fn all_columns() -> Vec<Kernel> {
    Element::all().flat_map(|element| [false, true].map(|sum| Kernel::ForwardColumns { element, sum })).collect()
}

pub(super) fn apply(
    team: Team,
    element: Element,
    parameters: Parameters,
    from: StatisticsFrom,
    beside: Beside,
) -> impl Declared {
    let pieces = move |link: &mut Link| {
        link(&part::Y_AND_X);
        part::link_outputs(element, from, link);
        beside.link_output(element, parameters, link);
    };
    let iterations = move |launch: &Launch| launch.outputs(parameters, from);
    declare(piece!("forward_apply"), team, Some(element), beside.sum, pieces, iterations)
}

fn all_applies() -> Vec<Kernel> {
    let mut all = vec![];
    for (element, team) in Element::written().flat_map(|element| Team::APART.map(|team| (element, team))) {
        for beside in Beside::any().chain([Beside::NOTHING]) {
            for parameters in Parameters::of_units(element, beside) {
                let apply = |&from| Kernel::ForwardApply { team, element, parameters, from, beside };
                all.extend(parameters.statistics().iter().map(apply));
            }
        }
    }
    all
}

pub(super) fn apply_columns(
    element: Element,
    parameters: Parameters,
    from: StatisticsFrom,
    beside: Beside,
) -> impl Declared {
    let pieces = move |link: &mut Link| {
        link(&part::Y_AND_X);
        link(&[part::FULL, part::COLUMNS]);
        beside.link_output(element, parameters, link);
        link(from.pieces());
    };
    let own = piece!("forward_apply_columns");
    let iterations = move |launch: &Launch| launch.columns_applied(launch.lookup(from));
    declare(own, Team::Invocation, Some(element), beside.sum, pieces, iterations)
}

fn all_columns_applied() -> Vec<Kernel> {
    let mut all = vec![];
    for element in Element::written() {
        for from in [StatisticsFrom::Stored, StatisticsFrom::Running, StatisticsFrom::Mixed] {
            let beside = Beside::any().chain([Beside::NOTHING]).filter(|beside| from.goes_by_columns(*beside));
            all.extend(beside.flat_map(|beside| {
                Parameters::SCALARS.map(|parameters| Kernel::ForwardApplyColumns { element, parameters, from, beside })
            }));
        }
    }
    all
}

pub(super) fn fold(element: Element, parameters: Parameters) -> impl Declared {
    let own = piece!("forward_fold", writes: [FoldedWeight, FoldedBias, FoldedScale]);
    let pieces = move |link: &mut Link| {
        link(&[part::PARTIAL_MOMENTS]);
        link(&parameters.modulated_pieces(element, true));
    };
    Declaration::new(own, Team::Invocation, Some(element), pieces, |_| 0)
}

fn all_folds() -> Vec<Kernel> {
    let single = Element::all().filter(|element| element.width == 1);
    let fold = |element| Parameters::SCALARS.map(|parameters| Kernel::ForwardFold { element, parameters });
    single.flat_map(fold).collect()
}
