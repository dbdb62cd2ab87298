// y = ((x - shift) - mean) * (scale * weight) + bias from statistics that are known.
//
// A team owns a stretch of neighbouring units (each_unit.wgsl). The plan picks it as the last step of a split norm, and
// alone where the running statistics are used.
// In bounds: units stay below params.units of a row below params.rows, which the plan cuts from the bound slice.
alias Known = Statistics;

fn known_for(row: u32) -> Known {
    return statistics_for(row);
}

fn result_unit(at: u32, s: Known, base: u32, i: u32) -> Values {
    return normalize_unit(unpack(load(at)), s, base, i);
}

// Of element k of the unit.
fn result(at: u32, k: u32, s: Known, base: u32, i: u32) -> f32 {
    return normalize(scalar(unpack(load(at)), k), s, base, i);
}

@compute @workgroup_size(WORKGROUP)
fn forward_apply(builtins: Builtins) {
    each_unit(builtins);
}
