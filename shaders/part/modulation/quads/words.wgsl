// z * scale + shift follows the layer, with values of the sample's: parameters that are multiplied out; beside 16-bit activations, four at once.
@group(0) @binding(24) var<storage, read> modulation_scale: array<vec2<u32>>;
@group(0) @binding(25) var<storage, read> modulation_shift: array<vec2<u32>>;
override HALVES: bool = false; // of the activations' 16-bit type, else f32
override FROM_ONE: bool = true; // a scale is 1 and what is given

fn scale_quad(i: u32) -> vec4<f32> {
    let one = vec4(select(0.0, 1.0, FROM_ONE));
    if HALVES {
        let four = modulation_scale[i / 4u];
        return one + vec4(decode(four.x), decode(four.y));
    }
    return one + bitcast<vec4<f32>>(vec4(modulation_scale[i / 2u], modulation_scale[i / 2u + 1u]));
}

fn shift_quad(i: u32) -> vec4<f32> {
    if HALVES {
        let four = modulation_shift[i / 4u];
        return vec4(decode(four.x), decode(four.y));
    }
    return bitcast<vec4<f32>>(vec4(modulation_shift[i / 2u], modulation_shift[i / 2u + 1u]));
}

fn weight_at(i: Parameter) -> f32 {
    return own_weight(i.x) * scale_quad(i.y / 4u * 4u)[i.y % 4u];
}

fn bias_at(i: Parameter) -> f32 {
    return own_bias(i.x) * scale_quad(i.y / 4u * 4u)[i.y % 4u] + shift_quad(i.y / 4u * 4u)[i.y % 4u];
}

fn weight_quad(i: Parameter) -> vec4<f32> {
    return own_weight_quad(i.x) * scale_quad(i.y);
}

fn bias_quad(i: Parameter) -> vec4<f32> {
    return own_bias_quad(i.x) * scale_quad(i.y) + shift_quad(i.y);
}
