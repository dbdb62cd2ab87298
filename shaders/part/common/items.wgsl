// Items of two kinds in one dispatch: the first teams own the firsts, those after them the seconds. An item of few entries is
// summed by a lane alone, so that a team owns as many of them as it has lanes; one of many by a team together.
override FIRST_ALONE: bool = false;
override SECOND_ALONE: bool = false;

struct Item {
    second: bool,
    alone: bool,
    number: u32, // among its kind; the last ones may not exist
    lane: u32,   // entries lane, lane + stride, .. are this invocation's
    stride: u32,
}

fn item_of(team: u32, lane: u32, firsts: u32) -> Item {
    let teams = select(firsts, (firsts + lanes() - 1u) / lanes(), FIRST_ALONE);
    let second = team >= teams;
    let alone = select(FIRST_ALONE, SECOND_ALONE, second);
    let own = team - select(0u, teams, second);
    return Item(
        second,
        alone,
        select(own, own * lanes() + lane, alone),
        select(lane, 0u, alone),
        select(lanes(), 1u, alone),
    );
}

// What all entries of an item have together, in the lanes that tell of it. All lanes meet, whoever needs it.
fn whole(item: Item, own: Shared, lane: u32) -> Shared {
    let all = reduce(own, lane);
    if item.alone {
        return own;
    }
    return all;
}

fn tells(item: Item) -> bool {
    return item.lane == 0u;
}
