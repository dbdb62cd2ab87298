// The sums of dy and of dy * xhat, xhat = (x - mean) * rstd, over lines whose elements have statistics each: a line is one channel
// of a sample, at all places.
//
// A team owns a segment of UNITS neighbouring lines, so that what places have is looked up once for all of these. Of each, a lane
// sums UNITS units before it adds them to what it has, exactly. The plan picks it where places are normalized over channels, for
// the gradients of the channels' parameters.
// In bounds: a sample has `lines` of `units` and is `row_len` rows of statistics; the plan sizes `sums` to lines * segments.

fn add_unit_across(a: LaneSums, gradient: Values, xhat: Values) -> LaneSums {
    return LaneSums(a.dy + gradient, a.dy_x + mul(gradient, xhat));
}

@compute @workgroup_size(WORKGROUP)
fn backward_lines(builtins: Builtins) {
    let lane = lane_of(builtins);
    let own_segment = segment_of(team_of(builtins));
    let blocks = (params.lines + UNITS - 1u) / UNITS;
    let sample = own_segment.row / blocks;
    let line = own_segment.row % blocks * UNITS;
    let lines = min(UNITS, params.lines - line);
    let first_line = sample * params.lines + line;
    let first_place = params.first + sample * params.row_len;

    var own: array<Sums, UNITS>;
    // Bounds that differ by team: shaders/README.md, Speed.
    let tile = UNITS * lanes();
    let stop = own_segment.begin + params.tiles * tile;
    for (var begin = own_segment.begin; begin < stop; begin += tile) {
        var few: array<LaneSums, UNITS>;
        for (var k = 0u; k < UNITS; k++) {
            let i = begin + lane + k * lanes();
            if FULL || i < own_segment.end {
                var shifts: array<f32, WIDTH>;
                var means: array<f32, WIDTH>;
                var rstds: array<f32, WIDTH>;
                for (var e = 0u; e < WIDTH; e++) {
                    let s = statistics_for(first_place + i * WIDTH + e);
                    shifts[e] = s.shift;
                    means[e] = s.mean;
                    rstds[e] = s.rstd;
                }
                for (var l = 0u; l < UNITS; l++) {
                    if FULL || l < lines {
                        let at = (first_line + l) * params.units + i;
                        let from_mean = deviation(unpack(load_x(at)), from_array(shifts), from_array(means));
                        few[l] = add_unit_across(few[l], unpack(load_dy(at)), mul(from_mean, from_array(rstds)));
                    }
                }
            }
        }
        for (var l = 0u; l < UNITS; l++) {
            own[l] = add(own[l], total(few[l].dy), total(few[l].dy_x));
        }
    }
    for (var l = 0u; l < UNITS; l++) {
        let all = reduce(own[l], lane);
        if own_segment.live && l < lines && lane == 0u {
            let at = (first_line + l) * params.partial_row + own_segment.segment * params.partial_segment;
            sums[params.partial_first + at] = compensated(all);
        }
        team_barrier();
    }
}
