// Nothing modulates what the layer gives.
fn weight_at(i: Parameter) -> f32 {
    return own_weight(i);
}

fn bias_at(i: Parameter) -> f32 {
    return own_bias(i);
}
