// A block of neighbouring columns in one chunk of samples: what an invocation owns. It goes column by column, so that
// what a column's values share is looked up once, and a chunk is small enough to stay in the cache meanwhile.
struct Block {
    chunk: u32,
    column: u32, // its columns, in units: column, .. below column_end
    column_end: u32,
    sample: u32, // its samples
    sample_end: u32,
}

fn block_of(team: u32) -> Block {
    let live = FULL || team < params.rows * params.segments;
    let column = select(0u, (team % params.rows) * params.run, live);
    let chunk = select(0u, team / params.rows, live);
    let sample = chunk * params.segment_units;
    return Block(
        chunk,
        column,
        select(0u, min(column + params.run, params.units), live),
        sample,
        min(sample + params.segment_units, params.samples),
    );
}
