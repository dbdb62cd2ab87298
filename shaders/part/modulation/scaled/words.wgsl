// z * scale + shift follows the layer, with values of the sample's: parameters that are multiplied out; beside 16-bit activations.
@group(0) @binding(24) var<storage, read> modulation_scale: array<u32>;
@group(0) @binding(25) var<storage, read> modulation_shift: array<u32>;
override HALVES: bool = false; // of the activations' 16-bit type, else f32
override FROM_ONE: bool = true; // a scale is 1 and what is given

fn scale_at(i: u32) -> f32 {
    let one = select(0.0, 1.0, FROM_ONE);
    if HALVES {
        return one + decode(modulation_scale[i / 2u])[i % 2u];
    }
    return one + bitcast<f32>(modulation_scale[i]);
}

fn shift_at(i: u32) -> f32 {
    if HALVES {
        return decode(modulation_shift[i / 2u])[i % 2u];
    }
    return bitcast<f32>(modulation_shift[i]);
}

fn weight_at(i: Parameter) -> f32 {
    return own_weight(i.x) * scale_at(i.y);
}

fn bias_at(i: Parameter) -> f32 {
    return own_bias(i.x) * scale_at(i.y) + shift_at(i.y);
}
