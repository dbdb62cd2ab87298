// A segment of a row: what a team of a first step owns.
struct Segment {
    live: bool,
    row: u32,
    segment: u32,
    begin: u32, // its units
    end: u32,
}

fn segment_of(team: u32) -> Segment {
    let live = FULL || team < params.rows * params.segments;
    let segment = select(0u, team / params.rows, live);
    let begin = segment * params.segment_units;
    let end = select(0u, min(begin + params.segment_units, params.units), live);
    return Segment(live, select(0u, team % params.rows, live), segment, begin, end);
}
