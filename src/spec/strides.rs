//! How tensors lie in memory, in elements: strides by dimension, and the rows that they come to.

use std::ops::Range;

/// Where the rows of a tensor lie: row `r` begins at `first + (r / period)·group + (r mod period)·row`. The tensors of a pass
/// share the period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pitch {
    /// Where the first one begins.
    pub first: usize,
    /// From one to the next within a period.
    pub row: usize,
    /// From one period to the next.
    pub group: usize,
}

/// Rows of contiguous elements, of tensors of one shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rows<const N: usize> {
    pub count: usize,
    pub len: usize,
    pub period: usize,
    /// Of each tensor.
    pub pitches: [Pitch; N],
}

/// Strides and the number of the first element.
pub(crate) type Place<'a> = (&'a [usize], usize);

impl<const N: usize> Rows<N> {
    /// Whether none begins or ends within a word, of elements of so many bytes.
    pub fn are_whole_words(&self, size: usize) -> bool {
        let whole = |elements: usize| (elements * size).is_multiple_of(4);
        let apart = |&Pitch { first, row, group }: &Pitch| whole(first) && whole(row) && whole(group);
        whole(self.len) && self.pitches.iter().all(apart)
    }
}

impl Pitch {
    /// What rows of `len` in this range reach over; of several periods, over all rows of each.
    pub fn span(self, len: usize, period: usize, rows: &Range<usize>) -> Range<usize> {
        let last = rows.end - 1;
        let [begin, end] = [rows.start, last].map(|row| self.first + row / period * self.group);
        if rows.start / period == last / period {
            return begin + rows.start % period * self.row..end + last % period * self.row + len;
        }
        begin..end + (period - 1) * self.row + len
    }
}

/// `count` rows in ranges that each `fit`, of at most `most` rows; `None` where one row does not, or there are more than `ranges`.
pub(crate) fn in_ranges(
    count: usize,
    most: usize,
    ranges: usize,
    fits: impl Fn(&Range<usize>) -> bool,
) -> Option<Vec<Range<usize>>> {
    let mut found = vec![];
    let mut start = 0;
    while start < count {
        // The first end that does not fit.
        let (mut fitting, mut beyond) = (start, start + most.min(count - start) + 1);
        while beyond - fitting > 1 {
            let end = fitting + (beyond - fitting) / 2;
            if fits(&(start..end)) { fitting = end } else { beyond = end }
        }
        if fitting == start || found.len() == ranges {
            return None;
        }
        found.push(start..fitting);
        start = fitting;
    }
    Some(found)
}

/// Of a tensor whose elements lie one after the other in row-major order.
pub(crate) fn contiguous(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].max(1);
    }
    strides
}

pub(crate) fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    shape.contains(&0) || matches!(merged(shape, [strides])[..], [] | [(_, [1])])
}

/// How many elements lie between the first one and the end of the last one. `None` where no address reaches as far.
pub(crate) fn extent(shape: &[usize], strides: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    let reach = |sum: usize, (&size, &stride): (&usize, &usize)| sum.checked_add((size - 1).checked_mul(stride)?);
    shape.iter().zip(strides).try_fold(1, reach)
}

/// Whether two elements share a place, or this cannot be told by the strides alone.
pub(crate) fn overlaps(shape: &[usize], strides: &[usize]) -> bool {
    let mut dimensions = merged(shape, [strides]);
    dimensions.sort_by_key(|&(_, [stride])| stride);
    let mut reach = 1;
    dimensions.iter().any(|&(size, [stride])| {
        let within = stride < reach;
        reach += (size - 1) * stride;
        within
    })
}

/// The rows of tensors of one shape that are as long as they can be, or why there are none.
pub(crate) fn longest_rows<const N: usize>(shape: &[usize], places: [Place; N]) -> Result<Rows<N>, &'static str> {
    let mut dimensions = merged(shape, places.map(|(strides, _)| strides));
    let len = match dimensions.pop() {
        None => 1,
        Some((len, strides)) if strides == [1; N] => len,
        Some(_) => return Err("the innermost dimension is not contiguous"),
    };
    in_two_steps(&dimensions, len, places)
}

/// The rows that are the last `inner` dimensions, or why they are none.
pub(crate) fn trailing_rows<const N: usize>(
    shape: &[usize],
    inner: usize,
    places: [Place; N],
) -> Result<Rows<N>, &'static str> {
    let (outside, within) = shape.split_at(shape.len() - inner);
    let part = |range: Range<usize>| places.map(|(strides, _)| &strides[range.clone()]);
    let len = match merged(within, part(outside.len()..shape.len()))[..] {
        [] => 1,
        [(len, strides)] if strides == [1; N] => len,
        _ => return Err("the normalized dimensions are not contiguous"),
    };
    in_two_steps(&merged(outside, part(0..outside.len())), len, places)
}

fn in_two_steps<const N: usize>(
    outside: &[(usize, [usize; N])],
    len: usize,
    places: [Place; N],
) -> Result<Rows<N>, &'static str> {
    let (groups, group, period, row) = match *outside {
        [] => (1, [0; N], 1, [0; N]),
        [(count, row)] => (1, [0; N], count, row),
        [(groups, group), (period, row)] => (groups, group, period, row),
        _ => return Err("its rows lie apart in more than two steps"),
    };
    let pitches = std::array::from_fn(|tensor| {
        let (_, first) = places[tensor];
        Pitch { first, row: row[tensor], group: group[tensor] }
    });
    Ok(Rows { count: groups * period, len, period, pitches })
}

/// The dimensions of tensors of one shape, outermost first: without those of one element, and neighbours as one where all
/// tensors let them. Sizes, and the strides of each tensor.
fn merged<const N: usize>(shape: &[usize], strides: [&[usize]; N]) -> Vec<(usize, [usize; N])> {
    let mut merged: Vec<(usize, [usize; N])> = vec![];
    for (axis, &size) in shape.iter().enumerate().filter(|&(_, &size)| size != 1) {
        let own = strides.map(|strides| strides[axis]);
        match merged.last_mut() {
            Some((outer, of_outer)) if (0..N).all(|tensor| of_outer[tensor] == own[tensor] * size) => {
                (*outer, *of_outer) = (*outer * size, own);
            }
            _ => merged.push((size, own)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_merge_where_all_tensors_let_them() {
        // k of [tokens, 3, heads, d], and a contiguous tensor beside it.
        let (shape, packed, own) = ([5, 4, 8], [96, 8, 1], [32, 8, 1]);
        let rows = trailing_rows(&shape, 1, [(&packed, 32), (&own, 0)]).unwrap();
        let pitches = [Pitch { first: 32, row: 8, group: 96 }, Pitch { first: 0, row: 8, group: 32 }];
        assert_eq!(rows, Rows { count: 20, len: 8, period: 4, pitches });
        let alone = trailing_rows(&shape, 1, [(&own, 0)]).unwrap();
        assert_eq!(alone, Rows { count: 20, len: 8, period: 20, pitches: [Pitch { first: 0, row: 8, group: 0 }] });
        let longest = longest_rows(&shape, [(&packed, 32)]).unwrap();
        assert_eq!(longest, Rows { count: 5, len: 32, period: 5, pitches: [Pitch { first: 32, row: 96, group: 0 }] });
        assert!(longest_rows(&shape, [(&[96, 1, 4], 0)]).is_err());
        assert!(trailing_rows(&shape, 2, [(&[96, 9, 1], 0)]).is_err());
        assert!(trailing_rows(&[2, 2, 2, 2], 1, [(&[100, 30, 10, 1], 0)]).is_err());
        assert!(is_contiguous(&shape, &own) && !is_contiguous(&shape, &packed) && is_contiguous(&[0, 3], &[7, 7]));
        assert!(is_contiguous(&[2, 1, 3], &[3, 99, 1]));
    }

    #[test]
    fn spans_hold_their_rows() {
        for pitch in [Pitch { first: 7, row: 10, group: 100 }, Pitch { first: 0, row: 100, group: 10 }] {
            let (len, period, count) = (6, 4, 20);
            for start in 0..count {
                for end in start + 1..=count {
                    let span = pitch.span(len, period, &(start..end));
                    for row in start..end {
                        let begin = pitch.first + row / period * pitch.group + row % period * pitch.row;
                        assert!(span.start <= begin && begin + len <= span.end, "{pitch:?} {start}..{end}");
                    }
                }
            }
        }
    }

    #[test]
    fn overlaps_are_found() {
        assert!(!overlaps(&[5, 4, 8], &[96, 8, 1]) && !overlaps(&[4, 5, 8], &[8, 96, 1]));
        assert!(overlaps(&[5, 4, 8], &[96, 7, 1]) && overlaps(&[5, 8], &[0, 1]) && overlaps(&[3, 2], &[1, 1]));
        assert_eq!(extent(&[5, 4, 8], &[96, 8, 1]), Some(4 * 96 + 32));
        assert_eq!(extent(&[2, 2], &[usize::MAX, 1]), None);
        assert_eq!(extent(&[2, 0], &[usize::MAX, 1]), Some(0));
    }
}
