// The coefficients of rows first, first + 1, .. below end are known already.
fn know(known: ptr<function, array<Coefficients, UNITS>>, block: Block, first: u32) {
    for (var k = 0u; k < UNITS; k++) {
        if FULL || first + k < block.samples {
            (*known)[k] = coefficients_for(params.first + first + k);
        }
    }
}
