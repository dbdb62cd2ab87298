// The weights and biases of a unit whose first element is `i` of its row, and which lies in that row whole.
fn weights_of(scale: f32, base: Parameter, i: u32) -> Values {
    let parameter = parameter_of(base, i);
    if AFFINE == PER_ROW || AFFINE == PER_UNIT {
        return splat(scale * weight_at(parameter));
    }
    if AFFINE == PER_ELEMENT {
        return mul(splat(scale), weight_unit(parameter));
    }
    var owner = owner_of(i);
    if AFFINE == TWO_PER_UNIT {
        let first = base + Parameter(owner.number);
        return two_of(scale * weight_at(first), scale * weight_at(last_of(first, owner)), owner);
    }
    var weights: array<f32, WIDTH>;
    for (var k = 0u; k < WIDTH; k++) {
        weights[k] = scale * weight_at(base + Parameter(owner.number));
        owner = owner_of_next(owner);
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
    var owner = owner_of(i);
    if AFFINE == TWO_PER_UNIT {
        let first = base + Parameter(owner.number);
        return two_of(bias_at(first), bias_at(last_of(first, owner)), owner);
    }
    var biases: array<f32, WIDTH>;
    for (var k = 0u; k < WIDTH; k++) {
        biases[k] = bias_at(base + Parameter(owner.number));
        owner = owner_of_next(owner);
    }
    return from_array(biases);
}

// The parameter of the last element of the unit whose first has `first`.
fn last_of(first: Parameter, owner: Owner) -> Parameter {
    return first + Parameter(select(0u, 1u, owner.elements < WIDTH));
}

fn two_of(first: f32, last: f32, owner: Owner) -> Values {
    let firsts = min(owner.elements, WIDTH);
    return below(splat(first), 0u, firsts) + below(splat(last), 0u - firsts, WIDTH - firsts);
}

// The parameter of an element, of the row's, and how many elements from this one on have it. One after the other takes no
// division.
struct Owner {
    number: u32,
    elements: u32,
}

fn owner_of(i: u32) -> Owner {
    return Owner(i / params.inner, params.inner - i % params.inner);
}

fn owner_of_next(owner: Owner) -> Owner {
    let last = owner.elements == 1u;
    return Owner(owner.number + select(0u, 1u, last), select(owner.elements - 1u, params.inner, last));
}
