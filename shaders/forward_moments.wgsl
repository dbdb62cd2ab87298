// The moments of pieces of rows: partial sums of a norm whose rows are too long for one team, or lie scattered.
//
// A team owns one segment of one row. The plan picks it for the first of three steps: moments, combine or axes, apply.
// In bounds: as forward_row; the plan sizes `moments` to rows * segments.

@compute @workgroup_size(WORKGROUP)
fn forward_moments(builtins: Builtins) {
    let lane = lane_of(builtins);
    let own_segment = segment_of(team_of(builtins));
    let row = own_segment.row;
    let end = whole_units(row, own_segment.end);

    var held: array<Unit, UNITS>;
    var own = Moments(0.0, 0.0, 0.0, 0.0);
    if SHARED_UNITS {
        own = edge_moments(edges_of(row, own_segment.live && own_segment.segment == 0u && lane == 0u));
    }
    // Bounds that differ by team: shaders/README.md, Speed.
    let tile = UNITS * lanes();
    let stop = own_segment.begin + params.tiles * tile;
    for (var begin = own_segment.begin; begin < stop; begin += tile) {
        let first = begin + lane;
        read_tile(&held, row, first, end);
        own = merge_tile(own, &held, first, end);
    }
    let all = reduce(propagate_nan(own, row, own_segment.begin + lane, end), lane);
    if own_segment.live && lane == 0u {
        save(row, own_segment.segment, all);
    }
}
