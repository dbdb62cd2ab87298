// A team is LANES lanes of a workgroup that exchange registers: a part of a subgroup, a whole one, or a whole workgroup,
// whose subgroups meet once in shared memory. SUBGROUP is the adapter's one subgroup size; all are powers of two.
override WORKGROUP: u32 = 64u;
override SUBGROUP: u32 = 32u;
override LANES: u32 = 32u;
override MEETING: u32 = 1u; // subgroups of a team
struct Builtins {
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
}
var<workgroup> meeting: array<Shared, MEETING>;

fn lanes() -> u32 {
    return LANES;
}

// By the subgroups, since nothing promises which invocations these are made of. Nor that they are whole: whatever they are,
// no position lies beyond the workgroup.
fn position_of(b: Builtins) -> u32 {
    return (b.subgroup * SUBGROUP + b.lane) % WORKGROUP;
}

// What `count` neighbouring lanes have together, in every one of them. The lower lane's always come first, so that all lanes
// agree to the bit.
fn exchange(own: Shared, lane: u32, count: u32) -> Shared {
    var m = own;
    for (var half = 1u; half < count; half *= 2u) {
        let other = unpacked(subgroupShuffleXor(packed(m), half));
        if (lane & half) == 0u {
            m = join(m, other);
        } else {
            m = join(other, m);
        }
    }
    return m;
}

// What the whole team has together, in every lane.
fn reduce(own: Shared, lane: u32) -> Shared {
    var m = exchange(own, lane, min(LANES, SUBGROUP));
    if LANES > SUBGROUP {
        if lane % SUBGROUP == 0u {
            meeting[lane / SUBGROUP] = m;
        }
        workgroupBarrier();
        m = Shared();
        for (var i = lane % SUBGROUP; i < MEETING; i += SUBGROUP) {
            m = join(m, meeting[i]);
        }
        m = exchange(m, lane, SUBGROUP);
    }
    return m;
}

// Before a second exchange or reduce: all lanes have read the result of the first.
fn meet_again() {
    if LANES > SUBGROUP {
        workgroupBarrier();
    }
}
