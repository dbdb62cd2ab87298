// Two f16 in a word, by the GPU's own instruction. It is exact.
fn decode(word: u32) -> vec2<f32> {
    return unpack2x16float(word);
}
