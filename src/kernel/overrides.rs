//! Values of overrides and constants that both sides reckon with, called as the shaders call them.

/// AFFINE: one parameter for a whole row.
pub(crate) const PER_ROW: u32 = 0;
/// AFFINE: one for each unit.
pub(crate) const PER_UNIT: u32 = 1;
/// AFFINE: neighbours have neighbours.
pub(crate) const PER_ELEMENT: u32 = 2;
/// AFFINE: a unit may cross from one to the next.
pub(crate) const MIXED: u32 = 3;
/// AFFINE: the same, and a unit has no third.
pub(crate) const TWO_PER_UNIT: u32 = 4;

/// LOOKUP: a stretch lies in one row.
pub(crate) const BY_ROW: u32 = 0;
/// LOOKUP: each unit looks its row up.
pub(crate) const BY_UNIT: u32 = 1;
/// LOOKUP: the same, and a unit may lie in two rows.
pub(crate) const BY_ELEMENT: u32 = 2;
/// LOOKUP: the same of rows that have a parameter each, one after the other.
pub(crate) const BY_ROWS: u32 = 3;

/// ACTIVATION: none.
pub(crate) const IDENTITY: u32 = 0;
/// ACTIVATION, as the next ones.
pub(crate) const RELU: u32 = 1;
pub(crate) const LEAKY_RELU: u32 = 2;
pub(crate) const SILU: u32 = 3;
pub(crate) const GELU: u32 = 4;
pub(crate) const GELU_TANH: u32 = 5;

/// Moments that are merged one after the other.
pub(super) const CHAIN: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Kernel;
    use crate::kernel::part;
    use crate::kernel::piece::piece;

    #[test]
    fn shaders_have_the_same_values() {
        let affine = [
            ("PER_ROW", PER_ROW),
            ("PER_UNIT", PER_UNIT),
            ("PER_ELEMENT", PER_ELEMENT),
            ("MIXED", MIXED),
            ("TWO_PER_UNIT", TWO_PER_UNIT),
        ];
        let lookup = [("BY_ROW", BY_ROW), ("BY_UNIT", BY_UNIT), ("BY_ELEMENT", BY_ELEMENT), ("BY_ROWS", BY_ROWS)];
        let [relu, leaky, silu] = [("RELU", RELU), ("LEAKY_RELU", LEAKY_RELU), ("SILU", SILU)];
        let activation = [("IDENTITY", IDENTITY), relu, leaky, silu, ("GELU", GELU), ("GELU_TANH", GELU_TANH)];
        let values: [(_, &[(&str, u32)]); 5] = [
            (part::ACTIVATION, &activation),
            (part::PARAMETER, &affine),
            (part::FOR_EACH_UNIT, &lookup),
            (part::MOMENTS, &[("CHAIN", CHAIN)]),
            (piece!("backward_combine"), &[("NEIGHBOURS", Kernel::NEIGHBOURS)]),
        ];
        for (piece, values) in values {
            for (name, value) in values {
                let line = format!("\nconst {name} = {value}u;");
                assert!(piece.text.contains(&line), "{} has no {line}", piece.name);
            }
        }
    }
}
