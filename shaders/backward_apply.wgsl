// dx = scale * (weight * dy + (of_x * xhat + constant)) from coefficients that are known, xhat = (x - mean) * scale.
//
// A team owns a stretch of neighbouring units (each_unit.wgsl). The plan picks it as the last step of a split backward,
// and alone where the running statistics are used.
// In bounds: as forward_apply.
alias Known = Coefficients;

fn known_for(row: u32) -> Known {
    return coefficients_for(row);
}

// What comes through the statistics: so much of x - shift, and so much besides.
fn through_statistics(c: Known) -> vec2<f32> {
    let factor = c.scale * c.scale * c.of_x;
    return vec2(factor, c.scale * c.constant - c.mean * factor);
}

fn result_unit(at: u32, c: Known, base: u32, i: u32) -> Values {
    let own = mul(unpack(load_dy(at)), weights_of(c.scale, base, i));
    if !THROUGH {
        return own;
    }
    let through = through_statistics(c);
    return own + (mul(from_shift(unpack(load(at)), splat(c.shift)), splat(through.x)) + splat(through.y));
}

// Of element k of the unit.
fn result(at: u32, k: u32, c: Known, base: u32, i: u32) -> f32 {
    let own = scalar(unpack(load_dy(at)), k) * (c.scale * weight_at(parameter_of(base, i)));
    if !THROUGH {
        return own;
    }
    let through = through_statistics(c);
    return own + (opaque(scalar(unpack(load(at)), k) - c.shift) * through.x + through.y);
}

@compute @workgroup_size(WORKGROUP)
fn backward_apply(builtins: Builtins) {
    each_unit(builtins);
}
