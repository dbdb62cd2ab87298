// The coefficients of rows first, first + 1, .. of a block that has all of their columns, from the rows themselves.
// What is read here is still in the cache when dx is made of it.
override WHOLE_TILES: bool = false; // no tile of a row is cut short
override CENTERED: bool = true; // false for RMS norm, whose mean is no statistic

fn find_coefficients(
    found: ptr<function, array<Coefficients, UNITS>>,
    offsets: ptr<function, array<RowOffsets, UNITS>>,
    block: Block,
    first: u32,
) {
    for (var k = 0u; k < UNITS; k++) {
        let end = select(0u, params.units, FULL || first + k < block.line_end);
        let row = select(0u, first + k, end > 0u);
        let s = statistics_for(params.first + row);
        let start = row * params.units;
        (*offsets)[k] = offsets_of(row);
        use_offsets((*offsets)[k]);
        var own = Sums();
        for (var i = 0u; i < end; i += UNITS) {
            var few = LaneSums();
            for (var j = 0u; j < UNITS; j++) {
                if WHOLE_TILES || i + j < end {
                    let weights = weight_unit(parameter((i + j) * WIDTH, params.first + block.line));
                    let gradient = mul(unpack(load_dy(start + i + j)), weights);
                    few = add_unit(few, gradient, unpack(load_x(start + i + j)), s);
                }
            }
            own = merge_partials(own, total_of(few, s));
        }
        let share = compensated(own) * (1.0 / f32(params.row_len));
        (*found)[k] = coefficients_of(s, vec2(select(0.0, share.x, CENTERED), share.y));
    }
}
