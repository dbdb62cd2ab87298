// y = (x - mean) / sqrt(var + eps) * weight + bias, whole rows at a time.
//
// A team owns a row and reads it once, into registers, where it fits (one tile); a longer row is read again, from the
// cache. The plan picks it wherever a row is short enough for one team.
// In bounds: units stay below params.units of a row below params.rows, which the plan cuts from the bound slice.

override ONE_TILE: bool = false; // a row is one tile: it is still in registers when it is written

@compute @workgroup_size(WORKGROUP)
fn forward_row(builtins: Builtins) {
    let lane = lane_of(builtins);
    let team = team_of(builtins);
    let live = FULL || team < params.rows;
    let row = select(0u, team, live);
    let end = select(0u, params.units, live);
    let tile = HELD * lanes();
    begin_row(row);

    var held: array<Unit, UNITS>;
    var own = Moments(0.0, 0.0, 0.0, 0.0);
    for (var t = 0u; t < params.tiles; t++) {
        read_tile(&held, row, t * tile + lane, end);
        own = merge_tile(own, &held, t * tile + lane, end);
    }
    let all = reduce(propagate_nan(own, row, lane, end), lane);
    let s = statistics_of(all);
    if live && lane == 0u {
        save(row, 0u, all);
        track_running(params.first + row, all);
    }

    let base = parameter_base(params.first + row);
    var at = walk(row, lane);
    if ONE_TILE {
        for (var k = 0u; k < HELD; k++) {
            let i = lane + k * lanes();
            if FULL || i < end {
                store(address(at), finish(normalize_unit(unpack(held[k]), s, base, i * WIDTH), address(at)));
            }
            at = next(at);
        }
    } else {
        for (var i = lane; i < end; i += lanes()) {
            store(address(at), finish(normalize_unit(unpack(load_x(address(at))), s, base, i * WIDTH), address(at)));
            at = next(at);
        }
    }
}
