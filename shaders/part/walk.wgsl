// Where unit (or partial) `i` of `row` lies. A row is made of runs of `run` neighbours, `run_stride` apart.
override CONTIGUOUS: bool = true;

fn address(row: u32, i: u32) -> u32 {
    if CONTIGUOUS {
        return row * params.row_stride + i;
    }
    return row * params.row_stride + (i / params.run) * params.run_stride + i % params.run;
}
