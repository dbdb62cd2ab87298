// dx = rstd * (weight * dy - mean(weight * dy) - xhat * mean(weight * dy * xhat)), whole rows at a time, in registers.
//
// A team owns segment_units neighbouring rows and reads each once. On its way it sums up what the gradients of weight
// and bias need: of rows (row_sums/stored.wgsl), of their channels (row_sums/by_channel.wgsl) or of columns
// (team_columns/stored.wgsl). The plan picks it wherever a row fits the registers of one team.
// In bounds: as forward_row; the plan sizes `sums` to what is kept.
override CENTERED: bool = true; // false for RMS norm, whose mean is no statistic

@compute @workgroup_size(WORKGROUP)
fn backward_row(builtins: Builtins) {
    let lane = lane_of(builtins);
    let team = team_of(builtins);

    var columns_dy: array<Values, UNITS>;
    var columns_x: array<Values, UNITS>;
    for (var r = 0u; r < params.segment_units; r++) {
        let own_row = team * params.segment_units + r;
        let live = FULL || own_row < params.rows;
        let row = select(0u, own_row, live);
        let end = select(0u, params.units, live);
        let s = statistics_for(params.first + row);
        let base = parameter_base(params.first + row);
        begin_row(row);

        var held_dy: array<Unit, UNITS>;
        var held_x: array<Unit, UNITS>;
        for (var k = 0u; k < UNITS; k++) {
            let i = unit_at(lane, k);
            if FULL || i < end {
                let at = address(walk(row, i));
                held_dy[k] = load_dy(at);
                held_x[k] = load_x(at);
            }
        }
        let means = sums_of_row(HeldRow(row, base, end, lane, live), s, &held_dy, &held_x) * (1.0 / f32(params.row_len));
        let c = coefficients_of(s, vec2(select(0.0, means.x, CENTERED), means.y));
        for (var k = 0u; k < UNITS; k++) {
            let i = unit_at(lane, k);
            if FULL || i < end {
                let gradient = unpack(held_dy[k]);
                let normalized = mul(deviation(unpack(held_x[k]), splat(s.shift), splat(s.mean)), splat(s.rstd));
                columns_dy[k] += gradient;
                columns_x[k] += mul(gradient, normalized);
                let through = mul(normalized, splat(c.of_xhat)) + splat(c.constant);
                store(address(walk(row, i)), mul(mul(gradient, weights_of(1.0, base, i * WIDTH)) + through, splat(s.rstd)));
            }
        }
    }
    for (var k = 0u; k < UNITS; k++) {
        let i = unit_at(lane, k);
        if team * params.segment_units < params.rows && i < params.units {
            store_team_columns(team, i, columns_dy[k], columns_x[k]);
        }
    }
}
