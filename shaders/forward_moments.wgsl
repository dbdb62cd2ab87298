// The moments of pieces of rows: partial sums of a norm whose rows are too long for one team, or lie scattered.
//
// A team owns one segment of one row. The plan picks it for the first of three steps: moments, combine or axes, apply.
// In bounds: as forward_row; the plan sizes `moments` to rows * segments.

@compute @workgroup_size(WORKGROUP)
fn forward_moments(builtins: Builtins) {
    let lane = lane_of(builtins);
    let team = team_of(builtins);
    let live = FULL || team < params.rows * params.segments;
    let row = select(0u, team % params.rows, live);
    let segment = select(0u, team / params.rows, live);
    let begin = segment * params.segment_units;
    let end = select(0u, min(begin + params.segment_units, params.units), live);

    var held: array<Unit, UNITS>;
    var own = Moments(0.0, 0.0, 0.0, 0.0);
    for (var t = 0u; t < params.tiles; t++) {
        let first = begin + t * UNITS * lanes() + lane;
        read_tile(&held, row, first, end);
        own = merge_tile(own, &held, first, end);
    }
    let all = reduce(own, lane);
    if live && lane == 0u {
        save(row, segment, all);
    }
}
