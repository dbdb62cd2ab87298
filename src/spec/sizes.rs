//! How many elements an array can have, on machines of 64 bits and of 32, as browsers are.

/// With no more, all that is counted of an array fits an address, were its elements the oracle's, of 8 bytes each: bytes, strides,
/// parts of its rows.
pub(crate) const MOST_ELEMENTS: usize = isize::MAX as usize / 8;

/// The elements of an array of this shape; as an error, how many they would be where that is more than
/// [`MOST_ELEMENTS`]. An array of none has to have dimensions that could be addressed, too.
pub(crate) fn elements(shape: &[usize]) -> Result<usize, u64> {
    let addressed = shape.iter().fold(1u64, |product, &size| product.saturating_mul(size.max(1) as u64));
    match usize::try_from(addressed) {
        Ok(elements) if elements <= MOST_ELEMENTS => Ok(if shape.contains(&0) { 0 } else { elements }),
        _ => Err(addressed),
    }
}

/// The bytes of an array of this shape, of elements of `size` bytes each; as an error where it is too large an array.
pub(crate) fn bytes(shape: &[usize], size: usize) -> Result<u64, u64> {
    let bytes = |elements: u64| elements.saturating_mul(size as u64);
    elements(shape).map(|elements| bytes(elements as u64)).map_err(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_counted_as_far_as_addresses_go() {
        assert_eq!(elements(&[]), Ok(1));
        assert_eq!((elements(&[3, 5]), bytes(&[3, 5], 4)), (Ok(15), Ok(60)));
        assert_eq!((elements(&[3, 0, 5]), bytes(&[3, 0, 5], 4)), (Ok(0), Ok(0)));
        assert_eq!(elements(&[MOST_ELEMENTS]), Ok(MOST_ELEMENTS));
        assert_eq!(elements(&[MOST_ELEMENTS + 1]), Err(MOST_ELEMENTS as u64 + 1));
        // Whose product, however it wraps, is small.
        for shape in
            [&[usize::MAX, 2][..], &[1 << (usize::BITS - 1), 2, 0], &[usize::MAX, usize::MAX], &[usize::MAX; 40]]
        {
            assert!(elements(shape).is_err_and(|all| all > MOST_ELEMENTS as u64), "{shape:?}");
        }
        assert_eq!(bytes(&[usize::MAX; 40], 4), Err(u64::MAX));
    }
}
