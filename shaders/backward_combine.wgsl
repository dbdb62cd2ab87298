// From sums over planes, pieces of rows with one weight each: what dx needs of each set of planes that share a
// statistic, and the gradients of weight and bias, which are sums over the planes of a channel.
//
// The first `rows` teams own a set, the next `channels` a channel. The plan picks it between sums and apply, and after
// backward_rows, whose columns are its channels.
// In bounds: the plan sizes `sums`, `coefficients` and the gradients to what the two walks address.

// Entries lane, lane + lanes(), .. of a set, times their weights.
fn sums_of_set(row: u32, lane: u32) -> Sums {
    let base = parameter_base(row);
    var own = Sums();
    var at = walk(row, lane);
    for (var i = lane; i < params.units; i += lanes()) {
        own = join(own, scaled(sums[address(at)], weight_at(parameter_of(base, i / params.sum_parts))));
        at = next(at);
    }
    return own;
}

fn sums_of_channel(channel: u32, lane: u32) -> Sums {
    let start = params.channel_first + channel * params.channel_stride;
    var own = Sums();
    for (var i = lane; i < params.channel_units; i += lanes()) {
        let at = start + (i / params.channel_run) * params.channel_run_stride + i % params.channel_run;
        own = join(own, sums[at]);
    }
    return own;
}

@compute @workgroup_size(WORKGROUP)
fn backward_combine(builtins: Builtins) {
    let lane = lane_of(builtins);
    let team = team_of(builtins);
    let of_set = SETS && team < params.rows;
    let channel = team - select(0u, params.rows, SETS);
    let of_channel = CHANNELS && !of_set && channel < params.channels;

    var own = Sums();
    if of_set {
        own = sums_of_set(team, lane);
    }
    if of_channel {
        own = sums_of_channel(channel, lane);
    }
    let all = closed(reduce(own, lane));
    if of_set && lane == 0u {
        put_set(team, all);
    }
    if of_channel && lane == 0u {
        put_parameter(channel, all);
    }
}
