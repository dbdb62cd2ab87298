// Two f32 to f16 in a word, by the GPU's own conversion, which rounds to nearest; what packs may round otherwise, but finds
// nothing left to round.
fn encode(v: vec2<f32>) -> u32 {
    return pack2x16float(vec2<f32>(vec2<f16>(v)));
}
