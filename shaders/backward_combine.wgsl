// From sums over planes, pieces of rows with one weight each: what dx needs of each set of planes that share a
// statistic, and the gradients of weight and bias, which are sums over the planes of a channel.
//
// The first `rows` teams own a set, the next ones NEIGHBOURS channels each. The plan picks it between sums and apply, and
// after backward_rows, whose columns are its channels.
// In bounds: the plan sizes `sums`, `coefficients` and the gradients to what the two walks address.
const NEIGHBOURS = 4u;
override TOGETHER: bool = false; // a team owns NEIGHBOURS channels, whose entries are neighbours; else one

// Entries lane, lane + lanes(), .. of a set, times their weights.
fn sums_of_set(row: u32, lane: u32) -> Sums {
    let base = parameter_base(row);
    var own = Sums();
    var at = walk(row, lane);
    for (var i = lane; i < params.units; i += lanes()) {
        let sum = sums[address(at)] * weight_at(parameter_of(base, i / params.sum_parts));
        own = add(own, sum.x, sum.y);
        at = next(at);
    }
    return own;
}

// Where entry i of the channels from `channel` on lies.
fn entry_of(channel: u32, i: u32) -> u32 {
    let start = params.channel_first + channel * params.channel_stride;
    if TOGETHER {
        return start + i * params.channel_run_stride;
    }
    let run = i / params.channel_run;
    return start + run * params.channel_run_stride + (i - run * params.channel_run);
}

@compute @workgroup_size(WORKGROUP)
fn backward_combine(builtins: Builtins) {
    let lane = lane_of(builtins);
    let team = team_of(builtins);
    let of_set = SETS && team < params.rows;
    let channel = (team - select(0u, params.rows, SETS)) * select(1u, NEIGHBOURS, TOGETHER);
    let of_channel = CHANNELS && !of_set && channel < params.channels;

    var own: array<Sums, NEIGHBOURS>;
    if of_set {
        own[0] = sums_of_set(team, lane);
    }
    if of_channel {
        // Of the last ones, those that are not there are the last one again.
        let others = min(NEIGHBOURS, params.channels - channel) - 1u;
        for (var i = lane; i < params.channel_units; i += lanes()) {
            let at = entry_of(channel, i);
            for (var k = 0u; k < select(1u, NEIGHBOURS, TOGETHER); k++) {
                let sum = sums[at + min(k, others)];
                own[k] = add(own[k], sum.x, sum.y);
            }
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
