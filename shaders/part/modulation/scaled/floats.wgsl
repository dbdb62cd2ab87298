// z * scale + shift follows the layer, with values of the sample's: parameters that are multiplied out.
@group(0) @binding(24) var<storage, read> modulation_scale: array<f32>;
@group(0) @binding(25) var<storage, read> modulation_shift: array<f32>;
override FROM_ONE: bool = true; // a scale is 1 and what is given

fn scale_at(i: u32) -> f32 {
    return select(0.0, 1.0, FROM_ONE) + modulation_scale[i];
}

fn weight_at(i: Parameter) -> f32 {
    return own_weight(i.x) * scale_at(i.y);
}

fn bias_at(i: Parameter) -> f32 {
    return own_bias(i.x) * scale_at(i.y) + modulation_shift[i.y];
}
