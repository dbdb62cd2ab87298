// A layer's outputs from statistics that are known, for common/for_each_unit.wgsl.
alias RowData = Statistics;

fn load_row(row: u32) -> RowData {
    return statistics_for(row);
}

fn output_unit(at: u32, s: RowData, base: Parameter, i: u32) -> Values {
    let unit = load_x(at);
    keep(at, unit);
    return normalize_unit(unpack(unit), s, base, i);
}

// Of element k of the unit.
fn output_element(at: u32, k: u32, s: RowData, base: Parameter, i: u32) -> f32 {
    return normalize(extract(unpack(load_x(at)), k), s, base, i);
}
