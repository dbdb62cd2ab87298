//! What varies in a kernel.

use crate::dtype::DType;

/// Who works on one row together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Team {
    /// A workgroup, meeting in shared memory.
    Workgroup,
    /// Lanes that exchange registers: some of a subgroup, a whole one, or those of a workgroup, whose subgroups meet once.
    Subgroup,
    /// A single invocation, for software adapters and very short rows.
    Invocation,
}

/// How activations are loaded: a type, and how many of it in a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Element {
    /// The type.
    pub dtype: DType,
    /// Elements in a unit.
    pub width: u32,
}

/// Which tensors beside a norm its kernel takes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Beside {
    /// One that is added to the input, and room for the sum.
    pub sum: bool,
    /// Scales and shifts of each sample.
    pub modulated: bool,
    /// One that is added to the output.
    pub added: bool,
}

impl Beside {
    /// None.
    pub const NOTHING: Beside = Beside { sum: false, modulated: false, added: false };

    /// All of them but none.
    pub(super) fn any() -> impl Iterator<Item = Beside> {
        (1..8).map(|bits| Beside { sum: bits & 1 != 0, modulated: bits & 2 != 0, added: bits & 4 != 0 })
    }
}

/// Which parameters the layer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parameters {
    /// Neither.
    None,
    /// A weight alone.
    Weight,
    /// A weight and a bias.
    Both,
    /// A weight, read in fours: for units of neighbours that have neighbouring parameters.
    WeightQuads,
    /// A weight and a bias, read in fours.
    BothQuads,
    /// Neither, where what modulates the output is read in fours.
    NoneQuads,
}

/// Where a backward over blocks of rows finds the coefficients of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CoefficientsFrom {
    /// In the rows themselves, which it has whole.
    Computed,
    /// In the scratch that a combine wrote.
    Stored,
    /// It only has the rows' statistics, and writes no dx.
    Statistics,
}

/// Which sums a backward over whole rows keeps, for the gradients of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeptSums {
    /// None.
    Nothing,
    /// Those of a row, which is of one channel.
    Rows,
    /// Those of each channel of a row.
    Channels,
    /// Those of each column over a team's rows.
    Columns,
}

/// What the running statistics of a channel are there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunningStatistics {
    /// Nothing: the batch's are used and move none.
    None,
    /// The batch's are used and move them.
    Update,
    /// They are used instead of the batch's.
    Use,
}

/// What becomes of a row's moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Save {
    /// Nothing.
    Nothing,
    /// They are kept, for running statistics of instances.
    Moments,
    /// The statistics that they give are kept, for a backward.
    Statistics,
    /// They are kept by a kernel that reads others: those of a channel in one process's share of a batch, or in all.
    Combined,
}

/// Where a kernel finds the statistics of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatisticsFrom {
    /// In the scratch that a combine wrote.
    Stored,
    /// In the running statistics.
    Running,
    /// Mixed on the spot from instance, layer and batch moments.
    Mixed,
}

impl StatisticsFrom {
    /// Whether there are kernels of columns beside which these tensors go: of modulations, the most common ones.
    pub(crate) fn goes_by_columns(self, beside: Beside) -> bool {
        !beside.modulated || self == StatisticsFrom::Stored
    }
}

impl Element {
    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Element> {
        let widths = |dtype| Element::widths(dtype).iter().map(move |&width| Element { dtype, width });
        [DType::F32, DType::F16, DType::BF16].into_iter().flat_map(widths)
    }

    /// Those that can be written.
    pub(super) fn written() -> impl Iterator<Item = Element> {
        Element::all().filter(|element| element.writes())
    }

    /// How `dtype` can be loaded, widest first. The last one of 16-bit types only reads.
    pub fn widths(dtype: DType) -> &'static [u32] {
        match dtype {
            DType::F32 => &[4, 1],
            DType::F16 | DType::BF16 => &[8, 2, 1],
        }
    }

    /// Whether a unit is at least a word: smaller ones share words, which only reading may.
    pub fn writes(self) -> bool {
        self.bytes() >= 4
    }

    /// Of a unit.
    pub fn bytes(self) -> u64 {
        u64::from(self.width) * self.dtype.size() as u64
    }
}

/// What a lane of a team has in registers while it holds a part of a row: a GPU hides its reductions behind other teams only
/// while a lane takes few of them (`cargo xtask occupancy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Registers {
    /// The row alone.
    Row,
    /// The row and its dy.
    RowAndDy,
    /// These and sums for the gradients of parameters.
    Sums,
}

impl Registers {
    /// The most units that leave room.
    pub fn units(self, element: Element) -> u32 {
        let elements = match self {
            Registers::Row => 32,
            Registers::RowAndDy => 16,
            Registers::Sums => 8,
        };
        (elements / element.width).min(8)
    }
}

impl KeptSums {
    /// Of a backward that keeps these.
    pub(crate) fn registers(self) -> Registers {
        match self {
            KeptSums::Nothing | KeptSums::Rows => Registers::RowAndDy,
            KeptSums::Channels | KeptSums::Columns => Registers::Sums,
        }
    }
}

impl Team {
    /// All of them.
    pub const ALL: [Team; 3] = [Team::Workgroup, Team::Subgroup, Team::Invocation];

    /// Those that exchange nothing.
    pub(super) const APART: [Team; 2] = [Team::Workgroup, Team::Invocation];

    /// How many units a lane may hold in registers at once, a few or the most; each number has its piece.
    pub fn units(self, element: Element, registers: Registers) -> Vec<u32> {
        if self == Team::Invocation {
            return vec![2, 8, 16];
        }
        let most = registers.units(element);
        if most > 2 { vec![2, most] } else { vec![most] }
    }

    /// The same where a norm has tensors beside it, which take registers too.
    pub(crate) fn units_beside(self, element: Element) -> u32 {
        if self == Team::Invocation { 8 } else { Registers::RowAndDy.units(element) }
    }

    /// Each team, each of these elements, each number of units that a lane may hold.
    pub(super) fn holding(elements: impl Iterator<Item = Element>, registers: Registers) -> Vec<(Team, Element, u32)> {
        let held = |element| {
            let units = move |team: Team| team.units(element, registers).into_iter().map(move |u| (team, element, u));
            Team::ALL.into_iter().flat_map(units)
        };
        elements.flat_map(held).collect()
    }
}

impl Parameters {
    /// Those that are looked up one by one.
    pub(super) const SCALARS: [Parameters; 3] = [Parameters::None, Parameters::Weight, Parameters::Both];

    /// Those of a kernel that looks them up for units, with these neighbours.
    pub(super) fn of_units(element: Element, beside: Beside) -> impl Iterator<Item = Parameters> {
        let quads = [Parameters::WeightQuads, Parameters::BothQuads].into_iter();
        let modulated = beside.modulated.then_some(Parameters::NoneQuads);
        Parameters::SCALARS.into_iter().chain(quads.chain(modulated).filter(move |_| element.width >= 4))
    }

    /// Whether they are read in fours.
    pub(super) fn quads(self) -> bool {
        matches!(self, Parameters::WeightQuads | Parameters::BothQuads | Parameters::NoneQuads)
    }

    /// Where the statistics of a layer with these may be. Only rows whose elements have parameters of their own read them in fours,
    /// those of layer and RMS norm, which track nothing.
    pub(super) fn statistics(self) -> &'static [StatisticsFrom] {
        use StatisticsFrom::{Mixed, Running, Stored};
        if self.quads() { &[Stored] } else { &[Stored, Running, Mixed] }
    }

    /// The same without a bias.
    pub fn without_bias(self) -> Parameters {
        match self {
            Parameters::Both => Parameters::Weight,
            Parameters::BothQuads => Parameters::WeightQuads,
            parameters => parameters,
        }
    }
}
