// A tensor as lines of columns. Of batch norm, columns are of all samples, which are its lines; where planes interleave, each
// sample has its lines, a column is one plane, and its elements are one of each line.
//
// An invocation owns a block of neighbouring columns in one chunk of lines. It goes column by column, so that what a column's
// values share is looked up once, and a chunk is small enough to stay in the cache meanwhile.
struct Block {
    column: u32, // its columns, in units: column, .. below column_end
    column_end: u32,
    line: u32, // its lines
    line_end: u32,
    sample_line: u32, // the first line of its sample
    chunk: u32, // its number among the chunks of its sample
    plane: u32, // the number of its sample's first plane among those of this dispatch
    kept: u32, // where partial results of its first column are kept
}

fn block_of(team: u32) -> Block {
    let live = FULL || team < params.rows * params.segments;
    let column = select(0u, (team % params.rows) * params.run, live);
    let chunk = select(0u, team / params.rows, live);
    let chunks = (params.lines + params.segment_units - 1u) / params.segment_units;
    let sample = chunk / chunks;
    let sample_line = sample * params.lines;
    let line = sample_line + (chunk % chunks) * params.segment_units;
    let plane = sample * params.units * WIDTH;
    return Block(
        column,
        select(0u, min(column + params.run, params.units), live),
        line,
        min(line + params.segment_units, sample_line + params.lines),
        sample_line,
        chunk % chunks,
        plane,
        params.partial_first + plane * params.partial_row + (chunk % chunks) * params.partial_segment,
    );
}

// The number of the row of statistics for a column's element, which is its channel's or its plane's.
fn row_of_column(block: Block, element: u32) -> u32 {
    return params.first + block.plane + element / params.inner;
}

// Where a partial result of it is kept.
fn partial_at(block: Block, element: u32) -> u32 {
    return block.kept + element * params.partial_row;
}
