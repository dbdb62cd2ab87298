// Items of two kinds in one dispatch: the first teams own the firsts, those after them the seconds. An item of few
// entries is summed by a lane alone, so that a team owns as many of them as it has lanes; one of many by a team
// together.
override FIRST_PER_LANE: bool = false; // an item is a lane's, else a team's
override SECOND_PER_LANE: bool = false;

struct Item {
    second: bool,
    per_lane: bool,
    number: u32, // among its kind; the last ones may not exist
    lane: u32,   // entries lane, lane + stride, .. are this invocation's
    stride: u32,
}

fn item_of(team: u32, lane: u32, firsts: u32) -> Item {
    let teams = select(firsts, (firsts + lanes() - 1u) / lanes(), FIRST_PER_LANE);
    let second = team >= teams;
    let per_lane = select(FIRST_PER_LANE, SECOND_PER_LANE, second);
    let own = team - select(0u, teams, second);
    return Item(
        second,
        per_lane,
        select(own, own * lanes() + lane, per_lane),
        select(lane, 0u, per_lane),
        select(lanes(), 1u, per_lane),
    );
}

// What all entries of an item have together, in its first lane. All lanes of a team must call it.
fn reduce_item(item: Item, own: Partial, lane: u32) -> Partial {
    let all = reduce(own, lane);
    if item.per_lane {
        return own;
    }
    return all;
}

fn is_first_lane(item: Item) -> bool {
    return item.lane == 0u;
}
