// Nothing modulates what the layer gives, whose parameters are read in fours.
fn weight_at(i: Parameter) -> f32 {
    return own_weight(i);
}

fn bias_at(i: Parameter) -> f32 {
    return own_bias(i);
}

fn weight_quad(i: Parameter) -> vec4<f32> {
    return own_weight_quad(i);
}

fn bias_quad(i: Parameter) -> vec4<f32> {
    return own_bias_quad(i);
}
