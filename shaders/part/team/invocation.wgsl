// A team is one invocation: no barrier at all, which is what software adapters need.
override WORKGROUP: u32 = 64u;
struct Builtins {
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
}

fn lanes() -> u32 {
    return 1u;
}

fn local_index(b: Builtins) -> u32 {
    return b.index;
}

fn reduce_lanes(own: Partial, lane: u32, count: u32) -> Partial {
    return own;
}

fn reduce(own: Partial, lane: u32) -> Partial {
    return own;
}

// Before a second reduction: nothing to wait for.
fn team_barrier() {}
