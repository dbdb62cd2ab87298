// From sums over planes, pieces of rows with one weight each: what dx needs of each set of planes that share a
// statistic, and the gradients of weight and bias, which are sums over the planes of a channel.
//
// The first items are `rows` sets, the next ones channels, or NEIGHBOURS channels each (common/items.wgsl). The plan
// picks it between sums and apply, and after backward_rows, whose columns are its channels.
// In bounds: the plan sizes `sums`, `coefficients` and the gradients to what the two walks address.
const NEIGHBOURS = 4u;
override SEVERAL_CHANNELS: bool = false; // a team owns NEIGHBOURS channels, whose entries are neighbours; else one

// This invocation's entries of a set, times their weights: sum_parts entries for each.
fn sums_of_set(item: Item, row: u32, end: u32) -> Sums {
    var own = Sums();
    var at = walk(row, item.lane);
    let apart = params.weight_stride;
    var weights = Walk(parameter_base(row) + (item.lane / params.sum_parts) * apart, item.lane % params.sum_parts);
    for (var i = item.lane; i < end; i += item.stride) {
        let sum = sums[address(at)] * weight_at(weights.run_start);
        own = add(own, sum.x, sum.y);
        at = next_by(at, item.stride);
        weights = next_of(weights, item.stride, params.sum_parts, apart);
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
    let item = item_of(team_of(builtins), lane, select(0u, params.rows, STORES_COEFFICIENTS));
    let of_set = STORES_COEFFICIENTS && !item.second && item.number < params.rows;
    let channel = item.number * select(1u, NEIGHBOURS, SEVERAL_CHANNELS);
    let of_channel = STORES_GRADIENTS && item.second && channel < params.channels;

    // Each team has bounds of its own, or lavapipe compiles this anew at each dispatch (README.md, Speed).
    var own: array<Sums, NEIGHBOURS>;
    if STORES_COEFFICIENTS {
        own[0] = sums_of_set(item, select(0u, item.number, of_set), select(0u, params.units, of_set));
    }
    if STORES_GRADIENTS {
        // Of the last ones, those that are not there are the last one again.
        let others = min(NEIGHBOURS, params.channels - channel) - 1u;
        let start = params.channel_first + channel * params.channel_stride;
        let end = select(0u, params.channel_units, of_channel);
        let run = params.channel_run;
        var at = Walk(start + (item.lane / run) * params.channel_run_stride, item.lane % run);
        for (var i = item.lane; i < end; i += item.stride) {
            own[0] = add_entry(own[0], address(at));
            if SEVERAL_CHANNELS {
                own[1] = add_entry(own[1], address(at) + min(1u, others));
                own[2] = add_entry(own[2], address(at) + min(2u, others));
                own[3] = add_entry(own[3], address(at) + min(3u, others));
            }
            at = next_of(at, item.stride, run, params.channel_run_stride);
        }
    }
    for (var k = 0u; k < select(1u, NEIGHBOURS, SEVERAL_CHANNELS); k++) {
        let all = compensated(reduce_item(item, own[k], lane));
        team_barrier();
        if of_set && is_first_lane(item) && k == 0u {
            store_coefficients(item.number, all);
        }
        if of_channel && is_first_lane(item) && channel + k < params.channels {
            store_gradients(channel + k, all);
        }
    }
}
