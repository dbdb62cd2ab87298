// The sums of dy and of dy * xhat, xhat = (x - mean) * rstd, over pieces of rows; dy times the weight where a row's
// elements have weights of their own. Where the statistics are constants, dx = rstd * weight * dy on the way.
//
// A team owns one segment of one row. The plan picks it for the first step of a split backward.
// In bounds: as forward_row; the plan sizes `sums` to rows * segments.
override WEIGHTED: bool = false;

@compute @workgroup_size(WORKGROUP)
fn backward_sums(builtins: Builtins) {
    let lane = lane_of(builtins);
    let own_segment = segment_of(team_of(builtins));
    let row = own_segment.row;
    let end = whole_units(row, own_segment.end);
    let s = statistics_for(params.first + row);
    let start = first_whole_unit(row);
    begin_row(row);
    let base = parameter_base(params.first + row);
    let scale = s.rstd * weight_at(base);

    var own = Partial();
    if SHARED_UNITS {
        let edges = edges_of(row, own_segment.live && own_segment.segment == 0u && lane == 0u);
        let first_x = first_edge(unpack(load_x(edges.first)), edges);
        let last_x = last_edge(unpack(load_x(edges.last)), edges);
        let first = add_unit(LaneSums(), first_edge(unpack(load_dy(edges.first)), edges), first_x, s);
        own = total_of(add_unit(first, last_edge(unpack(load_dy(edges.last)), edges), last_x, s), s);
    }
    // Bounds that differ by team: shaders/README.md, Speed.
    let tile = HELD * lanes();
    let stop = own_segment.begin + params.tiles * tile;
    for (var begin = own_segment.begin; begin < stop; begin += tile) {
        let first = begin + lane;
        var few = LaneSums();
        for (var k = 0u; k < HELD; k++) {
            let i = first + k * lanes();
            if FULL || i < end {
                var gradient = unpack(load_dy(start + i));
                store(start + i, mul(gradient, splat(scale)));
                if WEIGHTED {
                    gradient = mul(gradient, weight_unit(base + Parameter(i * WIDTH)));
                }
                few = add_unit(few, gradient, unpack(load_x(start + i)), s);
            }
        }
        own = merge_partials(own, total_of(few, s));
    }
    let all = reduce(own, lane);
    if own_segment.live && lane == 0u {
        sums[params.partial_first + row * params.partial_row + own_segment.segment * params.partial_segment] = compensated(all);
    }
}
