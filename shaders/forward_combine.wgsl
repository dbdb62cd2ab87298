// mean and 1 / sqrt(var + eps) of each row from its partial moments, or the moments of all; moves batch norm's running statistics.
//
// A team owns a row of the statistics. The plan picks it between moments and apply; where processes share a batch, once before they
// exchange what it has found of each channel, and once for an invocation to merge that in the order of the ranks.
// In bounds: the plan sizes `moments` and what is saved to what rows and units address.

@compute @workgroup_size(WORKGROUP)
fn forward_combine(builtins: Builtins) {
    let lane = lane_of(builtins);
    let team = team_of(builtins);
    let live = team < params.rows;
    let row = select(0u, team, live);
    let end = select(0u, params.units, live);

    var own = Moments(0.0, 0.0, 0.0, 0.0);
    var at = walk(row, lane);
    for (var first = lane; first < end; first += CHAIN * lanes()) {
        var some = Moments(0.0, 0.0, 0.0, 0.0);
        for (var i = first; i < min(first + CHAIN * lanes(), end); i += lanes()) {
            some = merge(some, moments[address(at)]);
            at = next(at);
        }
        own = merge(own, some);
    }
    let all = reduce(own, lane);
    if live && lane == 0u {
        track_running(row, all);
        save(row, 0u, all);
    }
}
