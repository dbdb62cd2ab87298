// What wgpu's copies cannot do: words into others within a compute pass, one word into many, rows that lie apart, and the low
// half of a word into another whose high half stays (the last of an odd number of 16-bit elements).
//
// Invocations take rows in turns and words of a row in turns, the first the half. Row r begins `(r / period) * group +
// (r % period) * row` words after row 0. In bounds: bindings reach from where the tensors' rows begin to where they end.
// Runs with wgpu's checks.

struct Copy {
    // Where row 0 lies in the bindings, which may be before them.
    source: u32,
    destination: u32,
    // 1, or 0 to read one word again and again.
    stride: u32,
    // Of a row.
    words: u32,
    // Whether half a word follows; of one row.
    half: u32,
    first_row: u32,
    end_row: u32,
    period: u32,
    source_row: u32,
    source_group: u32,
    destination_row: u32,
    destination_group: u32,
}

@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> destination: array<u32>;
@group(0) @binding(2) var<uniform> job: Copy;

@compute @workgroup_size(64)
fn copy(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    for (var row = job.first_row + id.y; row < job.end_row; row += workgroups.y) {
        let group = row / job.period;
        let within = row % job.period;
        let begin = job.source + group * job.source_group + within * job.source_row;
        let to = job.destination + group * job.destination_group + within * job.destination_row;
        for (var i = id.x; i < job.words; i += 64u * workgroups.x) {
            destination[to + i] = source[begin + i * job.stride];
        }
        if job.half != 0u && id.x == 0u {
            let last = to + job.words;
            destination[last] = (destination[last] & 0xffff0000u) | (source[begin + job.words * job.stride] & 0xffffu);
        }
    }
}
