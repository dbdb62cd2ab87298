// The parameters of a unit's elements where neighbours have neighbours, one by one.
fn weight_unit(i: Parameter) -> Values {
    var weights: array<f32, WIDTH>;
    for (var k = 0u; k < WIDTH; k++) {
        weights[k] = weight_at(i + Parameter(k));
    }
    return from_array(weights);
}

fn bias_unit(i: Parameter) -> Values {
    var biases: array<f32, WIDTH>;
    for (var k = 0u; k < WIDTH; k++) {
        biases[k] = bias_at(i + Parameter(k));
    }
    return from_array(biases);
}
