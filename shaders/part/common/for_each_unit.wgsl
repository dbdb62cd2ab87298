// The loop of an apply: a team owns a stretch of neighbouring units. `RowData` is what a row's outputs need of it,
// `load_row` finds it, and `output_unit`, or `output_element` for one element, make outputs of it and of what is
// loaded.
const BY_ROW = 0u;     // the stretch lies in one row: one RowData
const BY_UNIT = 1u;    // the tensor is one stretch of params.units; each unit looks its row up
const BY_ELEMENT = 2u; // the same, and a unit may lie in two rows (straddling/words.wgsl)
const BY_ROWS = 3u;    // the stretch is WIDTH rows, which have whole units only together, with a parameter for each row
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
            let place = place_of(i * WIDTH);
            let owner = params.first + place.row;
            store(i, finish(output_unit(i, load_row(owner), parameter_base(owner), place.i), i));
        }
    } else if LOOKUP == BY_ROWS {
        for_each_unit_of_rows(row, live);
    } else {
        for_each_straddling_unit(begin + lane, end);
    }
}

// Row after row; a unit that begins in one and ends in the next is made of both. Bounds differ by team: shaders/README.md, Speed.
fn for_each_unit_of_rows(rows: u32, live: bool) {
    let start = rows * params.units;
    let first = params.first + rows * WIDTH;
    let len = select(0u, params.row_len, live);
    var row_data = load_row(first);
    var base = parameter_base(first);
    var i = 0u;
    for (var k = 1u; k <= WIDTH; k++) {
        let stop = k * len / WIDTH;
        for (; i < stop; i++) {
            let at = start + i;
            store(at, finish(output_unit(at, row_data, base, 0u), at));
        }
        let next = first + min(k, WIDTH - 1u);
        let next_data = load_row(next);
        let next_base = parameter_base(next);
        let own = k * len % WIDTH;
        if own > 0u {
            let at = start + i;
            let ends = output_unit(at, row_data, base, 0u);
            let begins = output_unit(at, next_data, next_base, 0u);
            var joined: array<f32, WIDTH>;
            for (var e = 0u; e < WIDTH; e++) {
                joined[e] = select(extract(begins, e), extract(ends, e), e < own);
            }
            store(at, finish(from_array(joined), at));
            i++;
        }
        row_data = next_data;
        base = next_base;
    }
}
