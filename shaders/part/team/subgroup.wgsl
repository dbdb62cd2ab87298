// A team is LANES lanes of a workgroup that exchange registers: a part of a subgroup, a whole one, or a whole workgroup, whose
// subgroups meet once in shared memory. Subgroups have from SUBGROUP to SUBGROUP_MAX lanes, as many as the driver has chosen
// for this pipeline; all of these are powers of two, and only a workgroup may be a team of more lanes than SUBGROUP.
override WORKGROUP: u32 = 64u;
override SUBGROUP: u32 = 32u;
override SUBGROUP_MAX: u32 = 32u;
override LANES: u32 = 32u;
override PARTIALS: u32 = 1u; // one for each of the most subgroups that a team may have
struct Builtins {
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) size: u32,
    @builtin(subgroup_invocation_id) lane: u32,
}
var<workgroup> partials: array<Partial, PARTIALS>;
// Lanes of a team that are in one subgroup.
var<private> together: u32;

fn lanes() -> u32 {
    return LANES;
}

// By subgroups, since nothing promises which invocations these are made of. Nor that they are whole: whatever they are,
// no index lies beyond the workgroup, nor beyond `partials`.
fn local_index(b: Builtins) -> u32 {
    let size = select(max(b.size, SUBGROUP), SUBGROUP, SUBGROUP == SUBGROUP_MAX);
    together = min(size, LANES);
    return (b.subgroup * size + b.lane) % WORKGROUP;
}

// What `count` neighbouring lanes have together, in every one of them, or those of them that are in a subgroup. The lower
// lane's always come first, so that all lanes agree to the bit. All lanes exchange as often, whatever a subgroup has, since
// browsers want to see that they do; what comes from beyond it is not used.
fn reduce_lanes(own: Partial, lane: u32, count: u32) -> Partial {
    var m = own;
    for (var half = 1u; half < count; half *= 2u) {
        let other = from_vec4(subgroupShuffleXor(to_vec4(m), half));
        if half < together {
            if (lane & half) == 0u {
                m = merge_partials(m, other);
            } else {
                m = merge_partials(other, m);
            }
        }
    }
    return m;
}

// What the whole team has together, in every lane.
fn reduce(own: Partial, lane: u32) -> Partial {
    var m = reduce_lanes(own, lane, min(LANES, SUBGROUP_MAX));
    if LANES > SUBGROUP {
        if lane % together == 0u {
            partials[lane / together] = m;
        }
        workgroupBarrier();
        m = Partial();
        for (var i = lane % together; i < LANES / together; i += together) {
            m = merge_partials(m, partials[i]);
        }
        m = reduce_lanes(m, lane, min(LANES, SUBGROUP_MAX));
    }
    return m;
}

// Before a second reduction: all lanes have read the result of the first.
fn team_barrier() {
    if LANES > SUBGROUP {
        workgroupBarrier();
    }
}
