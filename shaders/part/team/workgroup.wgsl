// A team is a workgroup; its lanes meet in shared memory. WORKGROUP is a power of two.
override WORKGROUP: u32 = 64u;
struct Builtins {
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
}
var<workgroup> partials: array<Partial, WORKGROUP>;

fn lanes() -> u32 {
    return WORKGROUP;
}

fn local_index(b: Builtins) -> u32 {
    return b.index;
}

// What `count` neighbouring lanes have together, in every one of them; a power of two.
fn reduce_lanes(own: Partial, lane: u32, count: u32) -> Partial {
    partials[lane] = own;
    for (var half = count / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane % count < half {
            partials[lane] = merge_partials(partials[lane], partials[lane + half]);
        }
    }
    workgroupBarrier();
    return partials[lane - lane % count];
}

// What the whole team has together, in every lane.
fn reduce(own: Partial, lane: u32) -> Partial {
    return reduce_lanes(own, lane, WORKGROUP);
}

// Before a second reduction: all lanes have read the result of the first.
fn team_barrier() {
    workgroupBarrier();
}
