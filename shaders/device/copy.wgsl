// What wgpu's copies cannot do: words into others within a compute pass, one word into many, and the low half of a word into
// another whose high half stays (the last of an odd number of 16-bit elements).
//
// Invocations take words in turns, the first the half. In bounds: with the offsets, which reach to where the tensors begin,
// bindings are of so many words. Runs with wgpu's checks.

struct Copy {
    source: u32,
    destination: u32,
    // 1, or 0 to read one word again and again.
    stride: u32,
    words: u32,
    // Whether half a word follows.
    half: u32,
}

@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> destination: array<u32>;
@group(0) @binding(2) var<uniform> job: Copy;

@compute @workgroup_size(64)
fn copy(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    for (var i = id.x; i < job.words; i += 64u * workgroups.x) {
        destination[job.destination + i] = source[job.source + i * job.stride];
    }
    if job.half != 0u && id.x == 0u {
        let last = job.destination + job.words;
        destination[last] = (destination[last] & 0xffff0000u) | (source[job.source + job.words * job.stride] & 0xffffu);
    }
}
