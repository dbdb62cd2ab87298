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
    pieces: Box<dyn Fn() -> Vec<Piece>>,
    /// Loop iterations of each tile of a row, where it reads rows in tiles.
    pub iterations_of_tile: u64,
    /// Those of an invocation.
    pub iterations: Box<dyn Fn(&Launch) -> u64>,
}

impl Declaration {
    /// `pieces` are those that not every kernel of such a team and element has.
    pub fn new(
        own: Piece,
        team: Team,
        element: Option<Element>,
        pieces: impl Fn() -> Vec<Piece> + 'static,
        iterations: impl Fn(&Launch) -> u64 + 'static,
    ) -> Declaration {
        let (pieces, iterations) = (Box::new(pieces), Box::new(iterations));
        Declaration { own, team, element, pieces, iterations_of_tile: 1, iterations }
    }

    /// It reads rows in tiles, each of so many iterations.
    pub fn tiled(self, iterations_of_tile: u64) -> Declaration {
        Declaration { iterations_of_tile, ..self }
    }

    pub fn name(&self) -> &'static str {
        self.own.name
    }

    pub fn pieces(&self) -> Vec<Piece> {
        let mut pieces = vec![part::PARAMS, part::OPAQUE, part::MOMENTS, self.own];
        pieces.extend(self.team.pieces());
        pieces.extend(self.element.map(Element::pieces).into_iter().flatten());
        pieces.extend((self.pieces)());
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
