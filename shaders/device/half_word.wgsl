// The low half of one word goes into another, whose high half stays: what copies, which are of whole words, cannot do for the
// last of an odd number of 16-bit elements.
//
// One invocation. In bounds: `at` is within the two bindings, which begin where a binding may.

@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> destination: array<u32>;
@group(0) @binding(2) var<uniform> at: vec2<u32>;

@compute @workgroup_size(1)
fn half_word() {
    destination[at.y] = (destination[at.y] & 0xffff0000u) | (source[at.x] & 0xffffu);
}
