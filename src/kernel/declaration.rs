//! What a kernel says of itself.

use super::alternatives::{Element, Team};
use super::launch::Launch;
use super::part;
use super::piece::{Link, Piece};

/// A kernel's pieces and loops, from which its text, its bindings and its cost follow.
pub(super) struct Declaration<P, I> {
    own: &'static Piece,
    team: Team,
    element: Option<Element>,
    pieces: P,
    iterations_of_tile: u64,
    iterations: I,
}

impl<P, I> Declaration<P, I>
where
    P: Fn(&mut Link),
    I: Fn(&Launch) -> u64,
{
    /// `pieces` are those that not every kernel of such a team and element has.
    pub fn new(own: &'static Piece, team: Team, element: Option<Element>, pieces: P, iterations: I) -> Self {
        Declaration { own, team, element, pieces, iterations_of_tile: 1, iterations }
    }

    /// It reads rows in tiles, each of so many iterations.
    pub fn tiled(self, iterations_of_tile: u64) -> Self {
        Declaration { iterations_of_tile, ..self }
    }
}

/// What is asked of declarations, which are of many types so that asking allocates nothing.
pub(super) trait Declared {
    /// Of its file, its entry point and its label.
    fn name(&self) -> &'static str;

    /// Who works on a row of it.
    fn team(&self) -> Team;

    /// How it loads activations, if it does.
    fn element(&self) -> Option<Element>;

    /// All pieces, its own among them.
    fn pieces(&self, link: &mut Link);

    /// Loop iterations of an invocation.
    fn iterations(&self, launch: &Launch) -> u64;

    /// Those of each tile of a row, where it reads rows in tiles.
    fn iterations_of_tile(&self) -> u64;
}

impl<P, I> Declared for Declaration<P, I>
where
    P: Fn(&mut Link),
    I: Fn(&Launch) -> u64,
{
    fn name(&self) -> &'static str {
        self.own.name
    }

    fn team(&self) -> Team {
        self.team
    }

    fn element(&self) -> Option<Element> {
        self.element
    }

    fn pieces(&self, link: &mut Link) {
        link(&[part::PARAMS, part::OPAQUE, part::MOMENTS, self.own]);
        link(&self.team.pieces());
        if let Some(element) = self.element {
            link(element.word_pieces());
            link(&element.pieces());
        }
        (self.pieces)(link);
    }

    fn iterations(&self, launch: &Launch) -> u64 {
        (self.iterations)(launch)
    }

    fn iterations_of_tile(&self) -> u64 {
        self.iterations_of_tile
    }
}
