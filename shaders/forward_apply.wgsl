// y = ((x - shift) - mean) * (rstd * weight) + bias from statistics that are known.
//
// A team owns a stretch of neighbouring units (common/for_each_unit.wgsl). The plan picks it as the last step of a
// split norm, and alone where the running statistics are used.
// In bounds: units stay below params.units of a row below params.rows, which the plan cuts from the bound slice.

@compute @workgroup_size(WORKGROUP)
fn forward_apply(builtins: Builtins) {
    for_each_unit(builtins);
}
