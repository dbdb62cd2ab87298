// y = (x - mean) / sqrt(var + eps) * weight + bias, whole rows at a time.
//
// A team owns a row and reads it once into registers where it fits (one tile); a longer row is read again, from its
// end, which is still in the cache. The plan picks it wherever a row is short enough for one team.
// In bounds: units stay below params.units of a row below params.rows, which the plan cuts from the bound slice.

@compute @workgroup_size(WORKGROUP)
fn forward_row(builtins: Builtins) {
    let lane = lane_of(builtins);
    let team = team_of(builtins);
    let live = team < params.rows;
    let row = select(0u, team, live);
    let end = select(0u, params.units, live);
    let tile = UNITS * lanes();

    var held: array<Unit, UNITS>;
    var own = Moments(0.0, shift_of(row), 0.0, 0.0);
    for (var t = 0u; t < params.tiles; t++) {
        read_tile(&held, row, t * tile + lane, end);
        own = merge(own, tile_moments(&held, t * tile + lane, end, own.shift));
    }
    let all = reduce(own, lane);
    let s = statistics_of(all);
    if live && lane == 0u {
        save(row, 0u, all);
        settle(params.first + row, all);
    }

    let base = parameter_base(params.first + row);
    for (var t = params.tiles; t > 0u; t--) {
        let first = (t - 1u) * tile + lane;
        if t != params.tiles {
            read_tile(&held, row, first, end);
        }
        for (var k = 0u; k < UNITS; k++) {
            let i = first + k * lanes();
            if i < end {
                store(address(row, i), normalize_unit(unpack(held[k]), s, base, i * WIDTH));
            }
        }
    }
}
