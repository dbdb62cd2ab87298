// Which parameter belongs to element `i` of `row`: (row mod period) * step + i / inner.
const PER_ROW = 0u;     // one for the whole row
const PER_UNIT = 1u;    // one for each unit
const PER_ELEMENT = 2u; // inner is 1: neighbours have neighbours
const MIXED = 3u;       // a unit may cross from one to the next
const TWO_PER_UNIT = 4u; // the same, and a unit has no third
override AFFINE: u32 = 3u;
override SAME_PARAMETERS: bool = false; // for all rows: a compiler may load them once for many

// The first parameter of a row: a division, so once per row and not once per unit.
fn parameter_base(row: u32) -> Parameter {
    if SAME_PARAMETERS {
        return parameter(0u, row);
    }
    return parameter((row % params.period) * params.step, row);
}

// The parameter of element `i` of a row whose first is `base`.
fn parameter_of(base: Parameter, i: u32) -> Parameter {
    if AFFINE == PER_ROW {
        return base;
    }
    if AFFINE == PER_ELEMENT {
        return base + Parameter(i);
    }
    return base + Parameter(i / params.inner);
}
