// A team is LANES lanes of a workgroup that exchange registers: a part of a subgroup, a whole one, or a whole
// workgroup, whose subgroups meet once in shared memory. SUBGROUP is the adapter's one subgroup size; all are powers of
// two.
override WORKGROUP: u32 = 64u;
override SUBGROUP: u32 = 32u;
override LANES: u32 = 32u;
override PARTIALS: u32 = 1u; // one for each subgroup of a team
struct Builtins {
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
}
var<workgroup> partials: array<Partial, PARTIALS>;

fn lanes() -> u32 {
    return LANES;
}

// By subgroups, since nothing promises which invocations these are made of. Nor that they are whole: whatever they are,
// no index lies beyond the workgroup.
fn local_index(b: Builtins) -> u32 {
    return (b.subgroup * SUBGROUP + b.lane) % WORKGROUP;
}

// What `count` neighbouring lanes have together, in every one of them. The lower lane's always come first, so that all
// lanes agree to the bit.
fn reduce_lanes(own: Partial, lane: u32, count: u32) -> Partial {
    var m = own;
    for (var half = 1u; half < count; half *= 2u) {
        let other = from_vec4(subgroupShuffleXor(to_vec4(m), half));
        if (lane & half) == 0u {
            m = merge_partials(m, other);
        } else {
            m = merge_partials(other, m);
        }
    }
    return m;
}

// What the whole team has together, in every lane.
fn reduce(own: Partial, lane: u32) -> Partial {
    var m = reduce_lanes(own, lane, min(LANES, SUBGROUP));
    if LANES > SUBGROUP {
        if lane % SUBGROUP == 0u {
            partials[lane / SUBGROUP] = m;
        }
        workgroupBarrier();
        m = Partial();
        for (var i = lane % SUBGROUP; i < PARTIALS; i += SUBGROUP) {
            m = merge_partials(m, partials[i]);
        }
        m = reduce_lanes(m, lane, SUBGROUP);
    }
    return m;
}

// Before a second reduction: all lanes have read the result of the first.
fn team_barrier() {
    if LANES > SUBGROUP {
        workgroupBarrier();
    }
}
