// The loop of an apply: a team owns a stretch of neighbouring units. `RowData` is what a row's outputs need of it,
// `load_row` finds it, and `output_unit`, or `output_element` for one element, make outputs of it and of what is
// loaded.
const BY_ROW = 0u;     // the stretch lies in one row: one RowData
const BY_UNIT = 1u;    // the tensor is one stretch of params.units; each unit looks its row up
const BY_ELEMENT = 2u; // the same, and a unit may lie in two rows (straddling/words.wgsl)
override LOOKUP: u32 = 2u;

fn for_each_unit(builtins: Builtins) {
    let lane = lane_of(builtins);
    let team = team_of(builtins);
    let live = team < params.rows * params.segments;
    let row = select(0u, team / params.segments, live);
    let begin = (team % params.segments) * params.segment_units;
    let end = select(0u, min(begin + params.segment_units, params.units), live);

    if LOOKUP == BY_ROW {
        let row_data = load_row(params.first + row);
        let base = parameter_base(params.first + row);
        for (var i = begin + lane; i < end; i += lanes()) {
            let at = row * params.units + i;
            store(at, output_unit(at, row_data, base, i * WIDTH));
        }
    } else if LOOKUP == BY_UNIT {
        for (var i = begin + lane; i < end; i += lanes()) {
            let element = i * WIDTH;
            let owner = params.first + element / params.row_len;
            store(i, output_unit(i, load_row(owner), parameter_base(owner), element % params.row_len));
        }
    } else {
        for_each_straddling_unit(begin + lane, end);
    }
}
