// Rows of any length, read in whole units: those that are a row's alone, and apart from them its edges, which are parts of two
// units that it shares with its neighbours.
override SHARED_UNITS: bool = false; // there are such units

struct Edges {
    first: u32, // its first elements are those from number `begin` on of this unit, none if that is 0
    begin: u32,
    last: u32,  // its last ones are those below number `end` of this unit
    end: u32,
}

// The edges of `row`, for the one lane that takes them, and for others none.
fn edges_of(row: u32, takes: bool) -> Edges {
    let start = row * params.row_len;
    let stop = start + params.row_len;
    let first = start / WIDTH;
    let end = select(0u, stop % WIDTH, takes);
    return Edges(first, select(0u, start % WIDTH, takes), select(first, stop / WIDTH, end > 0u), end);
}

// Its first unit that is not shared.
fn first_whole_unit(row: u32) -> u32 {
    if SHARED_UNITS {
        return (row * params.row_len + WIDTH - 1u) / WIDTH;
    }
    return row * params.row_stride;
}

// Of its units below `end`, those that there are.
fn whole_units(row: u32, end: u32) -> u32 {
    if SHARED_UNITS {
        return min(end, (row + 1u) * params.row_len / WIDTH - first_whole_unit(row));
    }
    return end;
}

// Of the values of an edge's unit those that are the row's, and 0 for others.
fn first_edge(v: Values, edges: Edges) -> Values {
    return below(v, 0u - edges.begin, (WIDTH - edges.begin) % WIDTH);
}

fn last_edge(v: Values, edges: Edges) -> Values {
    return below(v, 0u, edges.end);
}
