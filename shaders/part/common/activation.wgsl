// What follows a layer at once: the formulas are those of `Activation` in src/spec/activation.rs.
const IDENTITY = 0u;
const RELU = 1u;
const LEAKY_RELU = 2u;
const SILU = 3u;
const GELU = 4u;
const GELU_TANH = 5u;
override ACTIVATION: u32 = 0u;

fn sigmoid(v: Part) -> Part {
    return Part(1.0) / (Part(1.0) + exp(-v));
}

// (1 + tanh(u)) / 2 is the sigmoid of 2u: this is 2u.
fn inner_of_tanh(v: Part) -> Part {
    return 1.5957691216057308 * (v + 0.044715 * (v * v * v));
}

fn activate_part(v: Part) -> Part {
    if ACTIVATION == RELU {
        return select(v, Part(0.0), v < Part(0.0));
    }
    if ACTIVATION == LEAKY_RELU {
        return select(v, v * params.slope, v < Part(0.0));
    }
    if ACTIVATION == SILU {
        return v * sigmoid(v);
    }
    if ACTIVATION == GELU {
        return gelu(v);
    }
    if ACTIVATION == GELU_TANH {
        return v * sigmoid(inner_of_tanh(v));
    }
    return v;
}

fn activate(v: Values) -> Values {
    return from_parts(activate_part(first_part(v)), activate_part(second_part(v)));
}
