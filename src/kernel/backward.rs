//! The kernels of a backward: the pieces of each, how often it loops, and what varies in it.

use super::alternatives::{Beside, CoefficientsFrom, Element, KeptSums, Parameters, Registers, StatisticsFrom, Team};
use super::declaration::{Declaration, Declared};
use super::kernels::Kernel;
use super::launch::{Launch, neighbour_loops};
use super::part;
use super::piece::{Link, Piece, piece};

/// Every backward kernel that a plan can pick.
pub(super) fn all() -> Vec<Kernel> {
    let first = [all_outputs(), all_row(), all_rows(), all_sums(), all_lines(), all_columns()].concat();
    let second = [all_combines(), all_axes(), all_mixes(), all_modulations(), all_folds()].concat();
    [first, second, all_applies(), all_columns_applied(), vec![Kernel::BackwardAddend]].concat()
}

/// A kernel of a backward: its teams reduce sums.
fn declare(
    own: &'static Piece,
    team: Team,
    element: Option<Element>,
    pieces: impl Fn(&mut Link),
    iterations: impl Fn(&Launch) -> u64,
) -> Declaration<impl Fn(&mut Link), impl Fn(&Launch) -> u64> {
    let pieces = move |link: &mut Link| {
        link(&[part::TWO_SUM, part::SUMS, part::COEFFICIENTS, part::PARTIAL_SUMS]);
        if element.is_some() {
            link(&[part::X, part::INPUT]);
        }
        pieces(link);
    };
    Declaration::new(own, team, element, pieces, iterations)
}

/// It computes outputs again, and reduces nothing.
pub(super) fn output(
    team: Team,
    element: Element,
    parameters: Parameters,
    from: StatisticsFrom,
    added: bool,
) -> impl Declared {
    let pieces = move |link: &mut Link| {
        link(&[part::PARTIAL_MOMENTS, part::X, part::INPUT, part::DY_OUT]);
        part::link_outputs(element, from, link);
        part::link_slope(element, parameters, added, link);
    };
    let iterations = move |launch: &Launch| launch.outputs(parameters, from);
    Declaration::new(piece!("backward_output"), team, Some(element), pieces, iterations)
}

fn all_outputs() -> Vec<Kernel> {
    let mut all = vec![];
    for (element, team) in Element::written().flat_map(|element| Team::APART.map(|team| (element, team))) {
        for added in [false, true] {
            for parameters in Parameters::of_units(element, Beside::NOTHING) {
                let output = |&from| Kernel::BackwardOutput { team, element, parameters, from, added };
                all.extend(parameters.statistics().iter().map(output));
            }
        }
    }
    all
}

pub(super) fn row(team: Team, element: Element, units: u32, parameters: Parameters, keep: KeptSums) -> impl Declared {
    let pieces = move |link: &mut Link| {
        link(&part::DX_AND_DY);
        link(&[part::WALK, part::units(units), part::FULL, part::LANE_SUMS, part::HELD_ROW]);
        link(&parameters.unit_pieces(element));
        link(StatisticsFrom::Stored.pieces());
        link(keep.pieces());
    };
    let iterations = move |launch: &Launch| {
        let (units, weights) = (u64::from(units), launch.parameter_loops(parameters));
        let channels = units / launch.constant("CHANNEL_UNITS").map_or(1, |count| u64::from(count).max(1));
        let (sums, kept) = match keep {
            KeptSums::Nothing => (units * (1 + weights), 0),
            KeptSums::Columns => (units * (1 + weights), launch.width()),
            KeptSums::Rows => (units, 0),
            KeptSums::Channels => (units + channels * launch.reduce(), 0),
        };
        let row = units + sums + launch.reduce() + units * (1 + weights);
        u64::from(launch.params.segment_units) * (1 + row) + units * (1 + kept)
    };
    declare(piece!("backward_row"), team, Some(element), pieces, iterations)
}

fn all_row() -> Vec<Kernel> {
    let mut all = vec![];
    let mut extend = |keep: KeptSums, parameters: &dyn Fn(Element) -> Vec<Parameters>| {
        for (team, element, units) in Team::holding(Element::written(), keep.registers()) {
            let row = |parameters| Kernel::BackwardRow { team, element, units, parameters, keep };
            all.extend(parameters(element).into_iter().map(row));
        }
    };
    // Weights whose gradients nobody wants.
    let unwanted = |element: Element| (element.width >= 4).then_some(Parameters::WeightQuads);
    extend(KeptSums::Nothing, &|element| {
        [Parameters::None, Parameters::Weight].into_iter().chain(unwanted(element)).collect()
    });
    for keep in [KeptSums::Rows, KeptSums::Channels] {
        extend(keep, &|_| vec![Parameters::Weight]);
    }
    extend(KeptSums::Columns, &|element| vec![widest(element)]);
    all
}

pub(super) fn rows(element: Element, units: u32, parameters: Parameters, from: CoefficientsFrom) -> impl Declared {
    let pieces = move |link: &mut Link| {
        link(&[part::FULL, part::COLUMNS, part::units(units), part::SUMS_OUT, part::COLUMN_SUMS]);
        link(&part::dx_if(from != CoefficientsFrom::Statistics));
        link(&parameters.unit_pieces(element));
        link(from.pieces());
    };
    let iterations = move |launch: &Launch| {
        let (params, held, weights) = (launch.params, u64::from(units), neighbour_loops(parameters, element));
        let known = match from {
            CoefficientsFrom::Computed => {
                held * (1 + u64::from(params.units.div_ceil(units)) * (1 + held * (1 + weights)))
            }
            CoefficientsFrom::Stored | CoefficientsFrom::Statistics => held,
        };
        let column = 1 + weights + held + launch.width();
        u64::from(params.segment_units.div_ceil(units)) * (1 + known + u64::from(params.run) * column)
    };
    declare(piece!("backward_rows"), Team::Invocation, Some(element), pieces, iterations)
}

fn all_rows() -> Vec<Kernel> {
    let mut all = vec![];
    for element in Element::all() {
        let rows = |units, parameters, from| Kernel::BackwardRows { element, units, parameters, from };
        if element.writes() {
            let from = [CoefficientsFrom::Computed, CoefficientsFrom::Stored];
            all.extend(Kernel::ROWS.into_iter().flat_map(|units| from.map(|from| rows(units, widest(element), from))));
        }
        all.push(rows(Kernel::ROWS[1], Parameters::None, CoefficientsFrom::Statistics));
    }
    all
}

pub(super) fn sums(
    team: Team,
    element: Element,
    units: u32,
    parameters: Parameters,
    from: StatisticsFrom,
    dx: bool,
) -> impl Declared {
    let pieces = move |link: &mut Link| {
        link(&[
            part::units(units),
            part::HELD,
            part::FULL,
            part::EDGES,
            part::SEGMENT,
            part::SUMS_OUT,
            part::LANE_SUMS,
        ]);
        link(&part::dx_if(dx));
        link(&parameters.unit_pieces(element));
        link(from.pieces());
    };
    let of_tile = u64::from(units) * (1 + neighbour_loops(parameters, element)) + 1;
    let iterations = move |launch: &Launch| launch.lookup(from) + launch.tiles() * of_tile + launch.reduce();
    declare(piece!("backward_sums"), team, Some(element), pieces, iterations).tiled(of_tile)
}

fn all_sums() -> Vec<Kernel> {
    let mut all = vec![];
    for (team, element, units) in Team::holding(Element::all(), Registers::Row) {
        let sums = |parameters, from, dx| Kernel::BackwardSums { team, element, units, parameters, from, dx };
        all.push(sums(widest(element), StatisticsFrom::Stored, false));
        all.extend(with_dx(element).map(|dx| sums(Parameters::Weight, StatisticsFrom::Running, dx)));
        all.extend([StatisticsFrom::Stored, StatisticsFrom::Mixed].map(|from| sums(Parameters::None, from, false)));
    }
    all
}

pub(super) fn lines(team: Team, element: Element, units: u32) -> impl Declared {
    let pieces = move |link: &mut Link| {
        link(&[part::units(units), part::FULL, part::SEGMENT, part::SUMS_OUT, part::LANE_SUMS, part::DY]);
        link(&[part::STATISTICS_OWN]);
    };
    let (units, width) = (u64::from(units), u64::from(element.width));
    let of_tile = 1 + units * (1 + width + units) + units;
    let iterations = move |launch: &Launch| launch.tiles() * of_tile + units * (1 + launch.reduce());
    declare(piece!("backward_lines"), team, Some(element), pieces, iterations).tiled(of_tile)
}

fn all_lines() -> Vec<Kernel> {
    let mut all = vec![];
    for (element, team) in Element::all().flat_map(|element| Team::ALL.map(|team| (element, team))) {
        all.extend(Kernel::LINES.map(|units| Kernel::BackwardLines { team, element, units }));
    }
    all
}

pub(super) fn columns(element: Element, parameters: Parameters, from: StatisticsFrom, dx: bool) -> impl Declared {
    let pieces = move |link: &mut Link| {
        link(&[part::FULL, part::COLUMNS, part::units(Kernel::COLUMN_UNITS), part::SUMS_OUT, part::COLUMN_SUMS]);
        link(&part::dx_if(dx));
        link(&parameters.pieces());
        link(from.pieces());
    };
    let iterations = move |launch: &Launch| launch.columns(2 + launch.lookup(from), 0);
    declare(piece!("backward_columns"), Team::Invocation, Some(element), pieces, iterations)
}

fn all_columns() -> Vec<Kernel> {
    let mut all = vec![];
    for element in Element::all() {
        let columns = |parameters, from, dx| Kernel::BackwardColumns { element, parameters, from, dx };
        all.extend([StatisticsFrom::Stored, StatisticsFrom::Mixed].map(|from| columns(Parameters::None, from, false)));
        all.push(columns(Parameters::Weight, StatisticsFrom::Stored, false));
        all.extend(with_dx(element).map(|dx| columns(Parameters::Weight, StatisticsFrom::Running, dx)));
    }
    all
}

/// Statistics that are constants have sums of dy pass by all that dx needs: it is dy, scaled, where it can be written.
fn with_dx(element: Element) -> impl Iterator<Item = bool> {
    [false, true].into_iter().filter(move |&dx| !dx || element.writes())
}

pub(super) fn combine(team: Team, sets: Option<Parameters>, parameters: Parameters) -> impl Declared {
    let pieces = move |link: &mut Link| {
        let weights = sets.unwrap_or(Parameters::None).pieces();
        link(&[part::WALK, part::SUMS_IN, part::PARAMETER, parameters.gradients_piece(), part::ITEMS]);
        link(&weights);
        link(part::store_coefficients_if(sets.is_some()));
    };
    let iterations = |launch: &Launch| {
        let params = launch.params;
        let channels = if launch.is("SEVERAL_CHANNELS") { u64::from(Kernel::NEIGHBOURS) } else { 1 };
        let entries = launch.per_item([params.units, 0]) + launch.per_item([0, params.channel_units]);
        entries + channels * (1 + launch.reduce())
    };
    declare(piece!("backward_combine"), team, None, pieces, iterations)
}

fn all_combines() -> Vec<Kernel> {
    let mut all = vec![];
    for team in Team::ALL {
        for parameters in GRADIENTS {
            let mut sets = vec![Some(Parameters::None), Some(Parameters::Weight)];
            sets.extend((parameters != Parameters::None).then_some(None));
            all.extend(sets.into_iter().map(|sets| Kernel::BackwardCombine { team, sets, parameters }));
        }
    }
    all
}

pub(super) fn axes(team: Team, parameters: Parameters) -> impl Declared {
    let own = piece!("backward_axes", writes: [AxisGradients]);
    let pieces = move |link: &mut Link| {
        instance_gradients(parameters.without_bias(), link);
        link(&[parameters.gradients_piece()]);
    };
    let iterations = |launch: &Launch| {
        let entry = 1 + 2 * launch.parts() + 2 * launch.sum_parts();
        launch.per_item([launch.params.channels, launch.params.samples]) * entry + 5 * launch.reduce()
    };
    declare(own, team, None, pieces, iterations)
}

fn all_axes() -> Vec<Kernel> {
    let axes = |team| GRADIENTS.map(|parameters| Kernel::BackwardAxes { team, parameters });
    Team::ALL.into_iter().flat_map(axes).collect()
}

pub(super) fn mix(team: Team, parameters: Parameters) -> impl Declared {
    let pieces = move |link: &mut Link| instance_gradients(parameters, link);
    let iterations = |launch: &Launch| {
        let instance = 2 * launch.parts() + launch.sum_parts();
        instance + launch.per_lane(launch.params.samples).max(1) + 3 * launch.reduce() + 2 * 3
    };
    let own = piece!(
        "backward_mix",
        reads: [AxisGradients],
        writes: [Coefficients, MeanWeightGradient, VarWeightGradient]
    );
    declare(own, team, None, pieces, iterations)
}

fn all_mixes() -> Vec<Kernel> {
    let mix = |team| WEIGHTS.map(|parameters| Kernel::BackwardMix { team, parameters });
    Team::ALL.into_iter().flat_map(mix).collect()
}

/// What a switchable norm's loss changes with, instance by instance.
fn instance_gradients(weights: Parameters, link: &mut Link) {
    link(&[part::SUMS_IN, part::INSTANCE_GRADIENTS, part::ITEMS]);
    link(&weights.pieces());
    link(StatisticsFrom::Mixed.pieces());
}

pub(super) fn apply(team: Team, element: Element, parameters: Parameters, running: bool) -> impl Declared {
    let pieces = move |link: &mut Link| {
        link(&part::DX_AND_DY);
        link(&[part::FINISH_NONE, part::FOR_EACH_UNIT, part::PLACES, element.straddling_piece()]);
        link(&parameters.unit_pieces(element));
        link(part::coefficients(running));
    };
    let iterations = move |launch: &Launch| launch.stretch(0, launch.parameter_loops(parameters));
    declare(piece!("backward_apply"), team, Some(element), pieces, iterations)
}

fn all_applies() -> Vec<Kernel> {
    let mut all = vec![];
    for element in Element::written() {
        let quads = [Parameters::WeightQuads].into_iter().filter(|_| element.width >= 4);
        for parameters in WEIGHTS.into_iter().chain(quads) {
            for team in Team::APART {
                all.extend([false, true].map(|running| Kernel::BackwardApply { team, element, parameters, running }));
            }
        }
    }
    all
}

pub(super) fn apply_columns(element: Element, parameters: Parameters, running: bool) -> impl Declared {
    let pieces = move |link: &mut Link| {
        link(&part::DX_AND_DY);
        link(&[part::FULL, part::COLUMNS]);
        link(&parameters.pieces());
        link(part::coefficients(running));
    };
    let own = piece!("backward_apply_columns");
    declare(own, Team::Invocation, Some(element), pieces, |launch| launch.columns_applied(0))
}

fn all_columns_applied() -> Vec<Kernel> {
    let apply = |element| {
        let of = move |running| WEIGHTS.map(|parameters| Kernel::BackwardApplyColumns { element, parameters, running });
        [false, true].into_iter().flat_map(of)
    };
    Element::written().flat_map(apply).collect()
}

pub(super) fn modulation(parameters: Parameters) -> impl Declared {
    let own = piece!(
        "backward_modulation",
        reads: [FoldedWeightGradient, FoldedBiasGradient],
        writes: [ScaleGradient, ShiftGradient]
    );
    declare(own, Team::Invocation, None, move |link: &mut Link| link(&parameters.pieces()), |_| 0)
}

fn all_modulations() -> Vec<Kernel> {
    GRADIENTS.map(|parameters| Kernel::BackwardModulation { parameters }).to_vec()
}

pub(super) fn fold(team: Team, parameters: Parameters) -> impl Declared {
    let own = piece!("backward_fold", reads: [FoldedScale, FoldedWeightGradient, FoldedBiasGradient]);
    let pieces = move |link: &mut Link| link(&[parameters.gradients_piece()]);
    let iterations = |launch: &Launch| launch.per_lane(launch.params.samples) + launch.reduce();
    declare(own, team, None, pieces, iterations)
}

fn all_folds() -> Vec<Kernel> {
    let folded = [Parameters::Weight, Parameters::Both];
    let fold = |team| folded.map(|parameters| Kernel::BackwardFold { team, parameters });
    Team::ALL.into_iter().flat_map(fold).collect()
}

pub(super) fn addend() -> impl Declared {
    let own = piece!("backward_addend", writes: [AddBeforeGradient]);
    let pieces = |link: &mut Link| link(&[part::MOMENTS_IN]);
    declare(own, Team::Invocation, None, pieces, |launch| u64::from(launch.params.parts).max(1))
}

/// What gradients there are.
const GRADIENTS: [Parameters; 3] = [Parameters::None, Parameters::Weight, Parameters::Both];
/// What dy is multiplied by.
const WEIGHTS: [Parameters; 2] = [Parameters::None, Parameters::Weight];

/// A weight for each element, as wide as it is read.
fn widest(element: Element) -> Parameters {
    if element.width >= 4 { Parameters::WeightQuads } else { Parameters::Weight }
}
