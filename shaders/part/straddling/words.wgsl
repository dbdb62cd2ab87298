// The words of 16-bit rows of odd length, or that interleave, which may lie in two rows: units first, first + lanes(), .. below end. A
// slice may begin and end in the middle of a word, whose other half is not its own and stays as it is.
const NOWHERE = 0xffffffffu;

fn for_each_straddling_unit(first: u32, end: u32) {
    let before = params.start % WIDTH; // elements of the first word that are not the slice's
    let after = before + params.elements;
    // Of the row that the last element was in: rows are long, or there are few of them in a word.
    var row = NOWHERE;
    var row_data = RowData();
    var base = Parameter();
    for (var i = first; i < end; i += lanes()) {
        var results: array<f32, WIDTH>;
        for (var k = 0u; k < WIDTH; k++) {
            let element = clamp(i * WIDTH + k, before, after - 1u) - before;
            let place = place_of(element);
            if place.row != row {
                row = place.row;
                row_data = load_row(params.first + row);
                base = parameter_base(params.first + row);
            }
            results[k] = output_element(i, k, row_data, base, place.i);
        }
        let keep = select(0u, 0xffffu, i * WIDTH < before) | select(0u, 0xffff0000u, i * WIDTH + 1u >= after);
        var kept = 0u;
        if keep != 0u {
            kept = load_output(i);
        }
        store(i, finish(from_array(results), i));
        if keep != 0u {
            store_unit(i, (kept & keep) | (load_output(i) & ~keep));
        }
    }
}
