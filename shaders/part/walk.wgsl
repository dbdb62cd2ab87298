// Where the units (or partials) of a row lie. A row is made of runs of `run` neighbours, `run_stride` apart.
override CONTIGUOUS: bool = true;

struct Walk {
    run: u32,    // where the run begins
    within: u32, // the place in it
}

// At unit `i` of `row`.
fn walk(row: u32, i: u32) -> Walk {
    let start = row * params.row_stride;
    if CONTIGUOUS {
        return Walk(start, i);
    }
    return Walk(start + (i / params.run) * params.run_stride, i % params.run);
}

// As many units on as the team has lanes. A lone lane needs no division, which is dear on software adapters.
fn next(at: Walk) -> Walk {
    let within = at.within + lanes();
    if CONTIGUOUS {
        return Walk(at.run, within);
    }
    if lanes() == 1u {
        let wrapped = within == params.run;
        return Walk(at.run + select(0u, params.run_stride, wrapped), select(within, 0u, wrapped));
    }
    return Walk(at.run + (within / params.run) * params.run_stride, within % params.run);
}

fn address(at: Walk) -> u32 {
    return at.run + at.within;
}
