// z * scale + shift follows the layer, with values of the sample's: parameters that are multiplied out, four at once.
@group(0) @binding(24) var<storage, read> modulation_scale: array<vec4<f32>>;
@group(0) @binding(25) var<storage, read> modulation_shift: array<vec4<f32>>;
override FROM_ONE: bool = true; // a scale is 1 and what is given

fn scale_quad(i: u32) -> vec4<f32> {
    return select(0.0, 1.0, FROM_ONE) + modulation_scale[i / 4u];
}

fn weight_at(i: Parameter) -> f32 {
    return own_weight(i.x) * scale_quad(i.y)[i.y % 4u];
}

fn bias_at(i: Parameter) -> f32 {
    return own_bias(i.x) * scale_quad(i.y)[i.y % 4u] + modulation_shift[i.y / 4u][i.y % 4u];
}

fn weight_quad(i: Parameter) -> vec4<f32> {
    return own_weight_quad(i.x) * scale_quad(i.y);
}

fn bias_quad(i: Parameter) -> vec4<f32> {
    return own_bias_quad(i.x) * scale_quad(i.y) + modulation_shift[i.y / 4u];
}
