// dx = rstd * (weight * dy + (of_xhat * xhat + constant)) from coefficients that are known, xhat = (x - mean) * rstd.
//
// A team owns a stretch of neighbouring units (common/for_each_unit.wgsl). The plan picks it as the last step of a
// split backward, and alone where the running statistics are used.
// In bounds: as forward_apply.
alias RowData = Coefficients;

fn load_row(row: u32) -> RowData {
    return coefficients_for(row);
}

// What comes through the statistics: so much of x - shift, and so much besides.
fn statistics_terms(c: RowData) -> vec2<f32> {
    let factor = c.rstd * c.rstd * c.of_xhat;
    return vec2(factor, c.rstd * c.constant - c.mean * factor);
}

fn output_unit(at: u32, c: RowData, base: Parameter, i: u32) -> Values {
    let own = mul(unpack(load_dy(at)), weights_of(c.rstd, base, i));
    if !THROUGH_STATISTICS {
        return own;
    }
    let through = statistics_terms(c);
    return own + (mul(from_shift(unpack(load_x(at)), splat(c.shift)), splat(through.x)) + splat(through.y));
}

// Of element k of the unit.
fn output_element(at: u32, k: u32, c: RowData, base: Parameter, i: u32) -> f32 {
    let own = extract(unpack(load_dy(at)), k) * (c.rstd * weight_at(parameter_of(base, i)));
    if !THROUGH_STATISTICS {
        return own;
    }
    let through = statistics_terms(c);
    return own + (opaque(extract(unpack(load_x(at)), k) - c.shift) * through.x + through.y);
}

@compute @workgroup_size(WORKGROUP)
fn backward_apply(builtins: Builtins) {
    for_each_unit(builtins);
}
