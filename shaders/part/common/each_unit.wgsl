// The loop of an apply: a team owns a stretch of neighbouring units. `Known` is what is known of a row, `known_for` finds
// it, and `result_unit`, or `result` of one element, make of it and of what is loaded what `put` stores.
const BY_ROW = 0u;     // the stretch lies in one row: one set of what is known
const BY_UNIT = 1u;    // the tensor is one stretch of params.units; each unit looks its row up
const BY_ELEMENT = 2u; // the same, and a unit may lie in two rows (across_words.wgsl)
override LOOKUP: u32 = 2u;

fn each_unit(builtins: Builtins) {
    let lane = lane_of(builtins);
    let team = team_of(builtins);
    let live = team < params.rows * params.segments;
    let row = select(0u, team / params.segments, live);
    let begin = (team % params.segments) * params.segment_units;
    let end = select(0u, min(begin + params.segment_units, params.units), live);

    if LOOKUP == BY_ROW {
        let known = known_for(params.first + row);
        let base = parameter_base(params.first + row);
        for (var i = begin + lane; i < end; i += lanes()) {
            let at = row * params.units + i;
            put(at, result_unit(at, known, base, i * WIDTH));
        }
    } else if LOOKUP == BY_UNIT {
        for (var i = begin + lane; i < end; i += lanes()) {
            let element = i * WIDTH;
            let owner = params.first + element / params.row_len;
            put(i, result_unit(i, known_for(owner), parameter_base(owner), element % params.row_len));
        }
    } else {
        across_rows(begin + lane, end);
    }
}
