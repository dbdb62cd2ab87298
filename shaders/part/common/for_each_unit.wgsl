// The loop of an apply: a team owns a stretch of neighbouring units. `RowData` is what a row's outputs need of it,
// `load_row` finds it, and `output_unit`, or `output_element` for one element, make outputs of it and of what is
// loaded.
const BY_ROW = 0u;     // the stretch lies in one row: one RowData
const BY_UNIT = 1u;    // the tensor is one stretch of params.units; each unit looks its row up
const BY_ELEMENT = 2u; // the same, and a unit may lie in two rows (straddling/words.wgsl)
const BY_ROWS = 3u;    // the same of rows that have a parameter each: they are looked up one after the other
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
            store(at, finish(output_unit(at, row_data, base, i * WIDTH), at));
        }
    } else if LOOKUP == BY_UNIT {
        for (var i = begin + lane; i < end; i += lanes()) {
            let element = i * WIDTH;
            let owner = params.first + element / params.row_len;
            store(i, finish(output_unit(i, load_row(owner), parameter_base(owner), element % params.row_len), i));
        }
    } else if LOOKUP == BY_ROWS {
        for_each_unit_of_rows(begin, end);
    } else {
        for_each_straddling_unit(begin + lane, end);
    }
}

// Row after row; a unit that ends one and begins the next is made of both.
fn for_each_unit_of_rows(begin: u32, end: u32) {
    var i = begin;
    var ends = splat(0.0);
    var joins = 0u; // elements of unit i that are of the row before
    for (var row = begin * WIDTH / params.row_len; i < end; row++) {
        let row_data = load_row(params.first + row);
        let base = parameter_base(params.first + row);
        if joins > 0u {
            let begins = output_unit(i, row_data, base, 0u);
            var joined: array<f32, WIDTH>;
            for (var e = 0u; e < WIDTH; e++) {
                joined[e] = select(extract(begins, e), extract(ends, e), e < joins);
            }
            store(i, finish(from_array(joined), i));
            i++;
        }
        let stop = (row + 1u) * params.row_len;
        for (; i < min(stop / WIDTH, end); i++) {
            store(i, finish(output_unit(i, row_data, base, 0u), i));
        }
        joins = select(0u, stop % WIDTH, i < end);
        if joins > 0u {
            ends = output_unit(i, row_data, base, 0u);
        }
    }
}
