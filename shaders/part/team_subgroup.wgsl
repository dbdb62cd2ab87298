// A team is a subgroup; its lanes exchange registers, without a barrier. SUBGROUP is the adapter's one subgroup size.
override WORKGROUP: u32 = 64u;
override SUBGROUP: u32 = 32u;
struct Builtins {
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
}

fn lanes() -> u32 {
    return SUBGROUP;
}

fn lane_of(b: Builtins) -> u32 {
    return b.lane;
}

fn team_of(b: Builtins) -> u32 {
    return (b.workgroup.x + b.workgroup.y * b.workgroups.x) * (WORKGROUP / SUBGROUP) + b.subgroup;
}

// The moments of the whole team, in every lane. The lower lane's always come first, so that all lanes agree to the bit.
fn reduce(own: Moments, lane: u32) -> Moments {
    var m = own;
    for (var half = 1u; half < SUBGROUP; half *= 2u) {
        let other = Moments(
            subgroupShuffleXor(m.count, half),
            subgroupShuffleXor(m.shift, half),
            subgroupShuffleXor(m.mean, half),
            subgroupShuffleXor(m.m2, half),
        );
        if (lane & half) == 0u {
            m = merge(m, other);
        } else {
            m = merge(other, m);
        }
    }
    return m;
}

// Before a second reduce: nothing to wait for.
fn meet_again() {}
