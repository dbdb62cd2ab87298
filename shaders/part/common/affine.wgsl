// The weights and biases of a unit whose first element is `i` of its row, and which lies in that row whole.
fn weights_of(scale: f32, base: Parameter, i: u32) -> Values {
    let parameter = parameter_of(base, i);
    if AFFINE == PER_ROW || AFFINE == PER_UNIT {
        return splat(scale * weight_at(parameter));
    }
    if AFFINE == PER_ELEMENT {
        return mul(splat(scale), weight_unit(parameter));
    }
    var weights: array<f32, WIDTH>;
    for (var k = 0u; k < WIDTH; k++) {
        weights[k] = scale * weight_at(parameter_of(base, i + k));
    }
    return from_array(weights);
}

fn biases_of(base: Parameter, i: u32) -> Values {
    let parameter = parameter_of(base, i);
    if AFFINE == PER_ROW || AFFINE == PER_UNIT {
        return splat(bias_at(parameter));
    }
    if AFFINE == PER_ELEMENT {
        return bias_unit(parameter);
    }
    var biases: array<f32, WIDTH>;
    for (var k = 0u; k < WIDTH; k++) {
        biases[k] = bias_at(parameter_of(base, i + k));
    }
    return from_array(biases);
}
