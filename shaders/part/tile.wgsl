// A tile: the UNITS units per lane of a row that are in registers together.
override CENTERED: bool = true; // false for RMS norm, whose mean square is about 0

// The first shift of a row's moments: its first element.
fn shift_of(row: u32) -> f32 {
    if CENTERED {
        return first_scalar(unpack(load(address(walk(row, 0u)))));
    }
    return 0.0;
}

// Reads units first + lane, first + lane + LANES, .. below end into registers.
fn read_tile(held: ptr<function, array<Unit, UNITS>>, row: u32, first: u32, end: u32) {
    var at = walk(row, first);
    for (var k = 0u; k < UNITS; k++) {
        if FULL || first + k * lanes() < end {
            (*held)[k] = load(address(at));
        }
        at = next(at);
    }
}

// This lane's moments of a tile, two passes over registers: first the mean, then the deviations from it.
fn tile_moments(held: ptr<function, array<Unit, UNITS>>, first: u32, end: u32, shift: f32) -> Moments {
    var count = 0u;
    var sum = splat(0.0);
    for (var k = 0u; k < UNITS; k++) {
        if FULL || first + k * lanes() < end {
            sum += unpack((*held)[k]) - splat(shift);
            count += WIDTH;
        }
    }
    let n = f32(count);
    let mean = select(0.0, total(sum) / max(n, 1.0), CENTERED);
    var m2 = splat(0.0);
    for (var k = 0u; k < UNITS; k++) {
        if FULL || first + k * lanes() < end {
            let deviation = (unpack((*held)[k]) - splat(shift)) - splat(mean);
            m2 += mul(deviation, deviation);
        }
    }
    return Moments(n, shift, mean, total(m2));
}
