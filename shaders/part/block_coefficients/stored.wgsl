// The coefficients of rows first, first + 1, .. below end are known already.
fn find_coefficients(
    found: ptr<function, array<Coefficients, UNITS>>,
    offsets: ptr<function, array<RowOffsets, UNITS>>,
    block: Block,
    first: u32,
) {
    for (var k = 0u; k < UNITS; k++) {
        if FULL || first + k < block.line_end {
            (*found)[k] = coefficients_for(params.first + first + k);
            (*offsets)[k] = offsets_of(first + k);
        }
    }
}
