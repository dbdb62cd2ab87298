//! What a kernel says of itself.

use super::alternatives::{Element, Team};
use super::binding::Binding;
use super::launch::Launch;
use super::part;
use super::piece::Piece;

/// A kernel's pieces and loops, from which its text, its bindings and its cost follow.
pub(super) struct Declaration {
    /// Its own file, whose name is the entry point's and the label's.
    own: Piece,
    /// Who works on a row of it.
    pub team: Team,
    /// How it loads activations, if it does.
    pub element: Option<Element>,
    base: &'static [Piece],
    of_element: &'static [Piece],
    pieces: Box<dyn Fn() -> Vec<Piece>>,
    /// Loop iterations of each tile of a row, where it reads rows in tiles.
    pub of_tile: u64,
    /// Those of an invocation.
    pub iterations: Box<dyn Fn(&Launch) -> u64>,
}

impl Declaration {
    /// A kernel whose teams bring moments together. `pieces` are those that not every such kernel has.
    pub fn forward(
        own: Piece,
        team: Team,
        element: Option<Element>,
        pieces: impl Fn() -> Vec<Piece> + 'static,
        iterations: impl Fn(&Launch) -> u64 + 'static,
    ) -> Declaration {
        Declaration {
            own,
            team,
            element,
            base: &[part::PARAMS, part::OPAQUE, part::MOMENTS, part::PARTIAL_MOMENTS],
            of_element: &[part::X],
            pieces: Box::new(pieces),
            of_tile: 1,
            iterations: Box::new(iterations),
        }
    }

    /// A kernel whose teams bring sums together.
    pub fn backward(
        own: Piece,
        team: Team,
        element: Option<Element>,
        pieces: impl Fn() -> Vec<Piece> + 'static,
        iterations: impl Fn(&Launch) -> u64 + 'static,
    ) -> Declaration {
        const BASE: [Piece; 7] = [
            part::PARAMS,
            part::OPAQUE,
            part::MOMENTS,
            part::TWO_SUM,
            part::SUMS,
            part::COEFFICIENTS,
            part::PARTIAL_SUMS,
        ];
        let forward = Declaration::forward(own, team, element, pieces, iterations);
        Declaration { base: &BASE, of_element: &[part::X, part::DY], ..forward }
    }

    pub fn of_tile(self, of_tile: u64) -> Declaration {
        Declaration { of_tile, ..self }
    }

    pub fn name(&self) -> &'static str {
        self.own.name
    }

    /// All pieces, its own last.
    pub fn pieces(&self) -> Vec<Piece> {
        let mut pieces = self.base.to_vec();
        pieces.extend(self.team.pieces());
        if let Some(element) = self.element {
            pieces.extend(element.pieces());
            pieces.extend(self.of_element);
        }
        pieces.extend((self.pieces)());
        pieces.push(self.own);
        pieces
    }

    /// What they bind, by number, and whether it is written.
    pub fn bindings(&self) -> Vec<(Binding, bool)> {
        let of_piece = |piece: Piece| {
            let reads = piece.reads.iter().map(|&binding| (binding, false));
            reads.chain(piece.writes.iter().map(|&binding| (binding, true)))
        };
        let mut bindings: Vec<_> = self.pieces().into_iter().flat_map(of_piece).collect();
        bindings.sort();
        bindings
    }
}
