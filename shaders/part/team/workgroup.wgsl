// A team is a workgroup; its lanes meet in shared memory. WORKGROUP is a power of two.
override WORKGROUP: u32 = 64u;
struct Builtins {
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
}
var<workgroup> meeting: array<Shared, WORKGROUP>;

fn lanes() -> u32 {
    return WORKGROUP;
}

fn position_of(b: Builtins) -> u32 {
    return b.index;
}

// What `count` neighbouring lanes have together, in every one of them; a power of two.
fn exchange(own: Shared, lane: u32, count: u32) -> Shared {
    meeting[lane] = own;
    for (var half = count / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane % count < half {
            meeting[lane] = join(meeting[lane], meeting[lane + half]);
        }
    }
    workgroupBarrier();
    return meeting[lane - lane % count];
}

// What the whole team has together, in every lane.
fn reduce(own: Shared, lane: u32) -> Shared {
    return exchange(own, lane, WORKGROUP);
}

// Before a second exchange or reduce: all lanes have read the result of the first.
fn meet_again() {
    workgroupBarrier();
}
