// y = ((x - shift) - mean) * (scale * weight) + bias from statistics that are known.
//
// A team owns a stretch of neighbouring units. The plan picks it as the last step of a split norm, and alone where the
// running statistics are used.
// In bounds: units stay below params.units of a row below params.rows, which the plan cuts from the bound slice.
const BY_ROW = 0u;     // the stretch lies in one row: one set of statistics
const BY_UNIT = 1u;    // the tensor is one stretch of params.units; each unit looks its row up
const BY_ELEMENT = 2u; // the same, and a unit may lie in two rows
override LOOKUP: u32 = 2u;

@compute @workgroup_size(WORKGROUP)
fn forward_apply(builtins: Builtins) {
    let lane = lane_of(builtins);
    let team = team_of(builtins);
    let live = team < params.rows * params.segments;
    let row = select(0u, team / params.segments, live);
    let begin = (team % params.segments) * params.segment_units;
    let end = select(0u, min(begin + params.segment_units, params.units), live);

    if LOOKUP == BY_ROW {
        let s = statistics_for(params.first + row);
        let base = parameter_base(params.first + row);
        for (var i = begin + lane; i < end; i += lanes()) {
            let at = row * params.units + i;
            store(at, normalize_unit(unpack(load(at)), s, base, i * WIDTH));
        }
    } else {
        for (var i = begin + lane; i < end; i += lanes()) {
            let element = i * WIDTH;
            let owner = params.first + element / params.row_len;
            let values = unpack(load(i));
            if LOOKUP == BY_UNIT {
                let base = parameter_base(owner);
                store(i, normalize_unit(values, statistics_for(owner), base, element % params.row_len));
            } else {
                store(i, normalize_across(values, element));
            }
        }
    }
}

// A unit that may lie in two rows, element by element.
fn normalize_across(values: Values, element: u32) -> Values {
    var results: array<f32, WIDTH>;
    for (var k = 0u; k < WIDTH; k++) {
        let row = params.first + (element + k) / params.row_len;
        let place = (element + k) % params.row_len;
        results[k] = normalize(scalar(values, k), statistics_for(row), parameter_base(row), place);
    }
    return gather(results);
}
