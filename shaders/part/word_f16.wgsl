// Two f16 in a word. These built-ins need no shader-f16.
fn decode(word: u32) -> vec2<f32> {
    return unpack2x16float(word);
}

fn encode(v: vec2<f32>) -> u32 {
    return pack2x16float(v);
}
