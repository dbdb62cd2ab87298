//! Which declaration is which kernel's, and what follows from it.

use super::alternatives::{Element, Team};
use super::binding::Binding;
use super::declaration::Declaration;
use super::kernels::Kernel;
use super::launch::{Launch, lanes};
use super::params::Params;
use super::{backward, forward};

impl Kernel {
    fn declaration(self) -> Declaration {
        match self {
            Kernel::ForwardRow { team, element, units, parameters, save, track } => {
                forward::row(team, element, units, parameters, save, track)
            }
            Kernel::ForwardMoments { team, element, units } => forward::moments(team, element, units),
            Kernel::ForwardCombine { team, track } => forward::combine(team, track),
            Kernel::ForwardInstances { team } => forward::instances(team),
            Kernel::ForwardAxes { team, running } => forward::axes(team, running),
            Kernel::ForwardColumns { element } => forward::columns(element),
            Kernel::ForwardApplyColumns { element, parameters, from } => {
                forward::apply_columns(element, parameters, from)
            }
            Kernel::ForwardApply { team, element, parameters, from } => forward::apply(team, element, parameters, from),
            Kernel::BackwardRow { team, element, units, parameters, keep } => {
                backward::row(team, element, units, parameters, keep)
            }
            Kernel::BackwardSums { team, element, units, parameters, from, dx } => {
                backward::sums(team, element, units, parameters, from, dx)
            }
            Kernel::BackwardColumns { element, parameters, from, dx } => {
                backward::columns(element, parameters, from, dx)
            }
            Kernel::BackwardCombine { team, sets, parameters } => backward::combine(team, sets, parameters),
            Kernel::BackwardAxes { team, parameters } => backward::axes(team, parameters),
            Kernel::BackwardMix { team, parameters } => backward::mix(team, parameters),
            Kernel::BackwardApply { team, element, parameters, running } => {
                backward::apply(team, element, parameters, running)
            }
            Kernel::BackwardApplyColumns { element, parameters, running } => {
                backward::apply_columns(element, parameters, running)
            }
            Kernel::BackwardRows { element, units, parameters, from } => {
                backward::rows(element, units, parameters, from)
            }
        }
    }

    /// Every kernel that a plan can pick.
    pub fn all() -> Vec<Kernel> {
        [forward::all(), backward::all()].concat()
    }

    /// File, entry point and label.
    pub fn name(self) -> &'static str {
        self.declaration().name()
    }

    /// A name for this permutation, in words that files can be called.
    pub fn permutation(self) -> String {
        let fields = format!("{self:?}").to_lowercase();
        let skip = |word: &str| word.is_empty() || ["element", "dtype", "width", "team"].contains(&word);
        let mut words: Vec<&str> = fields.split(|c: char| !c.is_alphanumeric()).filter(|word| !skip(word)).collect();
        words[0] = self.name();
        words.join("-")
    }

    /// Who works on a row of it.
    pub fn team(self) -> Team {
        self.declaration().team
    }

    /// How it loads activations, if it does.
    pub fn element(self) -> Option<Element> {
        self.declaration().element
    }

    /// The WGSL of this kernel. `directives` come first: browsers require `enable subgroups;` where naga refuses it.
    pub fn link(self, directives: &str) -> String {
        let pieces = self.declaration().pieces();
        [directives].into_iter().chain(pieces.iter().map(|piece| piece.text)).collect()
    }

    /// What it binds, in group 0, and whether it writes it.
    pub fn bindings(self) -> Vec<(Binding, bool)> {
        self.declaration().bindings()
    }

    /// Lanes of one team with these overrides.
    pub(crate) fn lanes(self, constants: &[(&'static str, u32)]) -> u32 {
        lanes(self.team(), constants)
    }

    /// The most loop iterations that one invocation runs with these numbers, inner loops included and unrolled by nobody; a
    /// loop that is entered counts at least one.
    pub(crate) fn iterations(self, params: &Params, constants: &[(&'static str, u32)]) -> u64 {
        let Declaration { team, element, iterations, .. } = self.declaration();
        iterations(&Launch { team, element, params, constants })
    }

    /// Those of each tile of a row, where it reads rows in tiles.
    pub(crate) fn iterations_of_tile(self) -> u64 {
        self.declaration().iterations_of_tile
    }
}
