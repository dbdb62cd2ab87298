// Where the units (or partials) of a row lie. A row is made of runs of `run` neighbours, `run_stride` apart.
override CONTIGUOUS: bool = true;

struct Walk {
    run_start: u32,
    within: u32, // the place in the run
}

// At unit `i` of `row`.
fn walk(row: u32, i: u32) -> Walk {
    let start = row * params.row_stride;
    if CONTIGUOUS {
        return Walk(start, i);
    }
    return Walk(start + (i / params.run) * params.run_stride, i % params.run);
}

// As many units on as the team has lanes.
fn next(at: Walk) -> Walk {
    return next_by(at, lanes());
}

fn next_by(at: Walk, count: u32) -> Walk {
    if CONTIGUOUS {
        return Walk(at.run_start, at.within + count);
    }
    return next_of(at, count, params.run, params.run_stride);
}

// `count` units on in runs of `run`. A lone lane needs no division, which is dear on software adapters.
fn next_of(at: Walk, count: u32, run: u32, run_stride: u32) -> Walk {
    let within = at.within + count;
    if lanes() == 1u {
        let wrapped = within == run;
        return Walk(at.run_start + select(0u, run_stride, wrapped), select(within, 0u, wrapped));
    }
    return Walk(at.run_start + (within / run) * run_stride, within % run);
}

fn address(at: Walk) -> u32 {
    return at.run_start + at.within;
}
