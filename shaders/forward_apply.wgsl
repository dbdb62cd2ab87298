// y = ((x - shift) - mean) * (rstd * weight) + bias from statistics that are known.
//
// A team owns a stretch of neighbouring units (common/for_each_unit.wgsl). The plan picks it as the last step of a
// split norm, and alone where the running statistics are used.
// In bounds: units stay below params.units of a row below params.rows, which the plan cuts from the bound slice.
alias RowData = Statistics;

fn load_row(row: u32) -> RowData {
    return statistics_for(row);
}

fn output_unit(at: u32, s: RowData, base: u32, i: u32) -> Values {
    return normalize_unit(unpack(load_x(at)), s, base, i);
}

// Of element k of the unit.
fn output_element(at: u32, k: u32, s: RowData, base: u32, i: u32) -> f32 {
    return normalize(extract(unpack(load_x(at)), k), s, base, i);
}

@compute @workgroup_size(WORKGROUP)
fn forward_apply(builtins: Builtins) {
    for_each_unit(builtins);
}
