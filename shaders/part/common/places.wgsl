// Which row an element of a slice is of, and its place in it.
override INTERLEAVED: bool = false; // params.interleaved rows lie in params.row_len lines

struct Place {
    row: u32,
    i: u32,
}

fn place_of(element: u32) -> Place {
    if INTERLEAVED {
        let line = element / params.interleaved;
        let row = line / params.row_len * params.interleaved + element % params.interleaved;
        return Place(row, line % params.row_len);
    }
    return Place(element / params.row_len, element % params.row_len);
}
