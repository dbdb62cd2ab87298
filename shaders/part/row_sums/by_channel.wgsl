// The sums of dy, and of dy times xhat, over each channel of a row, without their weights; they are kept for a combine.
// As many channels as fit are held side by side, by CHANNEL_LANES lanes each, CHANNEL_UNITS units per lane, so that a
// lane has few channels to sum and all channels are summed at once.
override CHANNEL_LANES: u32 = 1u;
override CHANNEL_UNITS: u32 = 1u;
override SUM_LANES: u32 = 1u; // neighbours whose sums are kept as one: all of a channel's, or those of a subgroup
const NOWHERE: u32 = 0xffffffffu;

// The channel of a lane's `k`th unit; past the last one where it has none.
fn channel_at(lane: u32, k: u32) -> u32 {
    let place = lane / CHANNEL_LANES;
    let places = lanes() / CHANNEL_LANES;
    return select(params.step, place + (k / CHANNEL_UNITS) * places, place < places);
}

fn unit_at(lane: u32, k: u32) -> u32 {
    let channel = channel_at(lane, k);
    let units = params.inner / WIDTH;
    let within = lane % CHANNEL_LANES + (k % CHANNEL_UNITS) * CHANNEL_LANES;
    return select(NOWHERE, channel * units + within, channel < params.step && within < units);
}

fn sums_of_row(row: HeldRow, s: Statistics, dy: ptr<function, array<Unit, UNITS>>, x: ptr<function, array<Unit, UNITS>>)
        -> vec2<f32> {
    var all = Sums();
    var own = LaneSums();
    for (var k = 0u; k < UNITS; k++) {
        if FULL || unit_at(row.lane, k) < row.end {
            own = add_unit(own, unpack((*dy)[k]), unpack((*x)[k]), s);
        }
        if k % CHANNEL_UNITS == CHANNEL_UNITS - 1u {
            let of_channel = total_of(own, s);
            let sum = compensated(reduce_lanes(of_channel, row.lane, SUM_LANES));
            team_barrier();
            let channel = channel_at(row.lane, k);
            if row.live && channel < params.step {
                if row.lane % CHANNEL_LANES % SUM_LANES == 0u {
                    let part = row.lane % CHANNEL_LANES / SUM_LANES;
                    let parts = CHANNEL_LANES / SUM_LANES;
                    sums[params.partial_first + (row.number * params.step + channel) * parts + part] = sum;
                }
                let factor = weight_at(row.base + channel);
                all = add(all, factor * of_channel.dy, factor * of_channel.dy_xhat);
            }
            own = LaneSums();
        }
    }
    let sum = compensated(reduce(all, row.lane));
    team_barrier();
    return sum;
}
