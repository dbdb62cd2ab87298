// From sums over planes, pieces of rows with one weight each: what dx needs of each set of planes that share a
// statistic, and the gradients of weight and bias, which are sums over the planes of a channel.
//
// The first `rows` teams own a set, the next ones NEIGHBOURS channels each. The plan picks it between sums and apply, and
// after backward_rows, whose columns are its channels.
// In bounds: the plan sizes `sums`, `coefficients` and the gradients to what the two walks address.
const NEIGHBOURS = 4u;
override TOGETHER: bool = false; // a team owns NEIGHBOURS channels, whose entries are neighbours; else one

// Entries lane, lane + lanes(), .. of a set, times their weights: sum_parts entries for each.
fn sums_of_set(row: u32, lane: u32, end: u32) -> Sums {
    var own = Sums();
    var at = walk(row, lane);
    let stride = select(1u, 0u, AFFINE == PER_ROW);
    var weights = Walk(parameter_base(row) + (lane / params.sum_parts) * stride, lane % params.sum_parts);
    for (var i = lane; i < end; i += lanes()) {
        let sum = sums[address(at)] * weight_at(weights.run);
        own = add(own, sum.x, sum.y);
        at = next(at);
        weights = next_of(weights, params.sum_parts, stride);
    }
    return own;
}

fn add_entry(own: Sums, at: u32) -> Sums {
    let sum = sums[at];
    return add(own, sum.x, sum.y);
}

@compute @workgroup_size(WORKGROUP)
fn backward_combine(builtins: Builtins) {
    let lane = lane_of(builtins);
    let team = team_of(builtins);
    let of_set = SETS && team < params.rows;
    let channel = (team - select(0u, params.rows, SETS)) * select(1u, NEIGHBOURS, TOGETHER);
    let of_channel = CHANNELS && !of_set && channel < params.channels;

    // Each team has bounds of its own, or lavapipe compiles this anew at each dispatch (README.md, Speed).
    var own: array<Sums, NEIGHBOURS>;
    if SETS {
        own[0] = sums_of_set(select(0u, team, of_set), lane, select(0u, params.units, of_set));
    }
    if CHANNELS {
        // Of the last ones, those that are not there are the last one again.
        let others = min(NEIGHBOURS, params.channels - channel) - 1u;
        let start = params.channel_first + channel * params.channel_stride;
        let end = select(0u, params.channel_units, of_channel);
        var at = Walk(start + (lane / params.channel_run) * params.channel_run_stride, lane % params.channel_run);
        for (var i = lane; i < end; i += lanes()) {
            own[0] = add_entry(own[0], address(at));
            if TOGETHER {
                own[1] = add_entry(own[1], address(at) + min(1u, others));
                own[2] = add_entry(own[2], address(at) + min(2u, others));
                own[3] = add_entry(own[3], address(at) + min(3u, others));
            }
            at = next_of(at, params.channel_run, params.channel_run_stride);
        }
    }
    for (var k = 0u; k < select(1u, NEIGHBOURS, TOGETHER); k++) {
        let all = closed(reduce(own[k], lane));
        meet_again();
        if of_set && lane == 0u && k == 0u {
            put_set(team, all);
        }
        if of_channel && lane == 0u && channel + k < params.channels {
            put_parameter(channel + k, all);
        }
    }
}
