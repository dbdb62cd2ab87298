// The derivative of the activation; at 0, relu's is 0 and leaky relu's its slope, as torch's.
fn slope_part(v: Part) -> Part {
    if ACTIVATION == RELU {
        return select(Part(1.0), Part(0.0), v <= Part(0.0));
    }
    if ACTIVATION == LEAKY_RELU {
        return select(Part(1.0), Part(params.slope), v <= Part(0.0));
    }
    if ACTIVATION == SILU {
        let s = sigmoid(v);
        return s * (1.0 + v * (1.0 - s));
    }
    if ACTIVATION == GELU {
        return normal_distribution(v) + v * normal_density(v);
    }
    if ACTIVATION == GELU_TANH {
        let s = sigmoid(inner_of_tanh(v));
        // Beyond, s * (1 - s) is 0, and what it multiplies must not be infinite.
        let near = clamp(v, Part(-20.0), Part(20.0));
        return s + near * (s * (1.0 - s)) * (1.5957691216057308 + 0.2140644488 * (near * near));
    }
    return Part(1.0);
}

fn slopes(v: Values) -> Values {
    return from_parts(slope_part(first_part(v)), slope_part(second_part(v)));
}
