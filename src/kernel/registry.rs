//! Which declaration is which kernel's, and what follows from it.

use super::alternatives::{Element, Team};
use super::binding::Binding;
use super::declaration::Declared;
use super::kernels::Kernel;
use super::launch::{Launch, lanes};
use super::params::Params;
use super::piece::Piece;
use super::target::Target;
use super::{backward, forward};

impl Kernel {
    /// What `read` makes of its declaration.
    fn declared<R>(self, read: impl FnOnce(&dyn Declared) -> R) -> R {
        match self {
            Kernel::ForwardRow { team, element, units, parameters, save, track, beside } => {
                read(&forward::row(team, element, units, parameters, save, track, beside))
            }
            Kernel::ForwardMoments { team, element, units, sum } => read(&forward::moments(team, element, units, sum)),
            Kernel::ForwardCombine { team, track, save } => read(&forward::combine(team, track, save)),
            Kernel::ForwardInstances { team } => read(&forward::instances(team)),
            Kernel::ForwardAxes { team, running } => read(&forward::axes(team, running)),
            Kernel::ForwardColumns { element, sum } => read(&forward::columns(element, sum)),
            Kernel::ForwardApplyColumns { element, parameters, from, beside } => {
                read(&forward::apply_columns(element, parameters, from, beside))
            }
            Kernel::ForwardApply { team, element, parameters, from, beside } => {
                read(&forward::apply(team, element, parameters, from, beside))
            }
            Kernel::ForwardFold { element, parameters } => read(&forward::fold(element, parameters)),
            Kernel::BackwardOutput { team, element, parameters, from, added } => {
                read(&backward::output(team, element, parameters, from, added))
            }
            Kernel::BackwardRow { team, element, units, parameters, keep } => {
                read(&backward::row(team, element, units, parameters, keep))
            }
            Kernel::BackwardSums { team, element, units, parameters, from, dx } => {
                read(&backward::sums(team, element, units, parameters, from, dx))
            }
            Kernel::BackwardLines { team, element, units } => read(&backward::lines(team, element, units)),
            Kernel::BackwardColumns { element, parameters, from, dx } => {
                read(&backward::columns(element, parameters, from, dx))
            }
            Kernel::BackwardCombine { team, sets, parameters } => read(&backward::combine(team, sets, parameters)),
            Kernel::BackwardAxes { team, parameters } => read(&backward::axes(team, parameters)),
            Kernel::BackwardMix { team, parameters } => read(&backward::mix(team, parameters)),
            Kernel::BackwardApply { team, element, parameters, running } => {
                read(&backward::apply(team, element, parameters, running))
            }
            Kernel::BackwardApplyColumns { element, parameters, running } => {
                read(&backward::apply_columns(element, parameters, running))
            }
            Kernel::BackwardRows { element, units, parameters, from } => {
                read(&backward::rows(element, units, parameters, from))
            }
            Kernel::BackwardModulation { parameters } => read(&backward::modulation(parameters)),
            Kernel::BackwardAddend => read(&backward::addend()),
            Kernel::BackwardFold { team, parameters } => read(&backward::fold(team, parameters)),
        }
    }

    /// Every kernel that a plan can pick.
    pub fn all() -> Vec<Kernel> {
        [forward::all(), backward::all()].concat()
    }

    /// File, entry point and label.
    pub fn name(self) -> &'static str {
        self.declared(|kernel| kernel.name())
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
        self.declared(|kernel| kernel.team())
    }

    /// How it loads activations, if it does.
    pub fn element(self) -> Option<Element> {
        self.declared(|kernel| kernel.element())
    }

    /// The WGSL of this kernel for a device.
    pub fn link(self, target: Target) -> String {
        let mut text = target.directives(self);
        let link = &mut |pieces: &[&'static Piece]| text.extend(pieces.iter().map(|piece| target.piece(piece).text));
        self.declared(|kernel| kernel.pieces(link));
        text
    }

    /// What it binds, in group 0, and whether it writes it.
    pub fn bindings(self) -> Vec<(Binding, bool)> {
        let mut bindings = vec![];
        let bind = &mut |pieces: &[&'static Piece]| {
            for piece in pieces {
                bindings.extend(piece.reads.iter().map(|&binding| (binding, false)));
                bindings.extend(piece.writes.iter().map(|&binding| (binding, true)));
            }
        };
        self.declared(|kernel| kernel.pieces(bind));
        bindings.sort();
        bindings
    }

    /// Lanes of one team with these overrides.
    pub(crate) fn lanes(self, constants: &[(&'static str, u32)]) -> u32 {
        lanes(self.team(), constants)
    }

    /// The most loop iterations that one invocation runs with these numbers, inner loops included and unrolled by nobody; a
    /// loop that is entered counts at least one.
    pub(crate) fn iterations(self, params: &Params, constants: &[(&'static str, u32)]) -> u64 {
        self.declared(|kernel| {
            kernel.iterations(&Launch { team: kernel.team(), element: kernel.element(), params, constants })
        })
    }

    /// Those of each tile of a row, where it reads rows in tiles.
    pub(crate) fn iterations_of_tile(self) -> u64 {
        self.declared(|kernel| kernel.iterations_of_tile())
    }
}
