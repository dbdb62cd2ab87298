// The parameters of a unit's eight elements where neighbours have neighbours.
fn weight_unit(i: u32) -> Values {
    return Values(weight_quad(i), weight_quad(i + 4u));
}

fn bias_unit(i: u32) -> Values {
    return Values(bias_quad(i), bias_quad(i + 4u));
}
