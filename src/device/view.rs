//! Tensors that share the memory of others: other shapes, and parts whose rows lie apart.

use super::tensor::{Tensor, bytes_of};
use crate::error::{Error, Result};
use crate::spec::strides::{contiguous, extent, is_contiguous, longest_rows, overlaps};

impl Tensor {
    /// The same memory seen in another shape of as many elements.
    ///
    /// # Errors
    /// [`Error::View`]; [`Error::Strides`] where the tensor is not contiguous; [`Error::TooLarge`] for a shape that no tensor can
    /// have.
    pub fn reshape(&self, shape: &[usize]) -> Result<Tensor> {
        if bytes_of(self.gpu(), shape, self.dtype())? != self.byte_len() {
            return Err(Error::View { from: self.shape().to_vec(), to: shape.to_vec() });
        }
        if !self.is_contiguous() {
            return Err(self.strides_error("the tensor", "only a contiguous one can be reshaped"));
        }
        Ok(self.view(self.offset(), shape, contiguous(shape)))
    }

    /// The first `rows` of the outermost dimension, in the same memory: for batches of varying size in one buffer.
    ///
    /// # Errors
    /// [`Error::View`] where there are fewer.
    pub fn first_rows(&self, rows: usize) -> Result<Tensor> {
        let rest = self.shape().get(1..).unwrap_or_default();
        let shape = [&[rows], rest].concat();
        match self.shape().first() {
            Some(&all) if rows <= all => Ok(self.view(self.offset(), &shape, self.strides().to_vec())),
            _ => Err(Error::View { from: self.shape().to_vec(), to: shape }),
        }
    }

    /// `len` entries of dimension `dim` from `start` on, in the same memory, as torch's `narrow`: with
    /// [`select`](Self::select) it finds q and k in a packed qkv buffer, for a layer or RMS norm to normalize where they lie.
    ///
    /// ```
    /// # use gpunorm::Tensor;
    /// # fn heads(packed: &Tensor) -> gpunorm::Result<()> {
    /// let k = packed.select(1, 1)?; // of [tokens, 3, heads, d]: [tokens, heads, d]
    /// let q = packed.narrow(1, 0, 1)?; // likewise, and its dimension of 1 stays: [tokens, 1, heads, d]
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Narrow`] where there are none such; [`Error::Strides`] as [`as_strided`](Self::as_strided).
    pub fn narrow(&self, dim: usize, start: usize, len: usize) -> Result<Tensor> {
        let shape = self.shape();
        let there = shape.get(dim).is_some_and(|&size| start.checked_add(len).is_some_and(|end| end <= size));
        if !there {
            return Err(Error::Narrow { dim, start, len, shape: shape.to_vec() });
        }
        let mut narrowed = shape.to_vec();
        narrowed[dim] = len;
        self.as_strided(&narrowed, self.strides(), if len == 0 { 0 } else { start * self.strides()[dim] })
    }

    /// Entry `index` of dimension `dim`, without that dimension, as torch's `select`.
    ///
    /// # Errors
    /// As [`narrow`](Self::narrow).
    pub fn select(&self, dim: usize, index: usize) -> Result<Tensor> {
        let narrowed = self.narrow(dim, index, 1)?;
        let without = |of: &[usize]| [&of[..dim], &of[dim + 1..]].concat();
        Ok(narrowed.view(narrowed.offset(), &without(narrowed.shape()), without(narrowed.strides())))
    }

    /// The same memory, seen with these strides from element `offset` of the tensor on, all counted in elements, as torch's
    /// `as_strided`; it may reach to the tensor's last element. What the innermost dimensions have in one piece is a row: rows may
    /// lie apart in up to two steps, no two elements in one place, and 16-bit rows begin and end on whole words.
    ///
    /// Layer and RMS norm take such tensors as they are for their input, output and the gradients of these. So do
    /// reading, [`write`](Self::write) and [`copy_from`](Self::copy_from). What else a call takes has to be
    /// [`contiguous`](Self::contiguous).
    ///
    /// # Errors
    /// [`Error::Strides`], [`Error::TooLarge`].
    pub fn as_strided(&self, shape: &[usize], strides: &[usize], offset: usize) -> Result<Tensor> {
        bytes_of(self.gpu(), shape, self.dtype())?;
        let refused =
            |reason| Err(Error::Strides { what: "the view", shape: shape.to_vec(), strides: strides.to_vec(), reason });
        if shape.len() != strides.len() {
            return refused("each dimension has one stride");
        }
        let end = extent(shape, strides).and_then(|extent| extent.checked_add(offset));
        if end.is_none_or(|end| end > self.extent()) {
            return refused("it reaches beyond the tensor that it is a view of");
        }
        let size = self.dtype().size();
        let view = self.view(self.offset() + (offset * size) as u64, shape, strides.to_vec());
        if view.is_empty() {
            return Ok(view);
        }
        if overlaps(shape, strides) {
            return refused("two elements would lie in one place");
        }
        let rows = match longest_rows(shape, [(strides, view.first_element())]) {
            Ok(rows) => rows,
            Err(reason) => return refused(reason),
        };
        let whole = if view.is_contiguous() { view.offset().is_multiple_of(4) } else { rows.are_whole_words(size) };
        if !whole {
            return refused("16-bit rows that lie apart have to begin and end on whole words");
        }
        Ok(view)
    }

    /// The tensor itself if its elements lie one after the other in row-major order, else a copy where they do.
    ///
    /// # Errors
    /// [`Error::BufferUnusable`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn contiguous(&self) -> Result<Tensor> {
        if self.is_contiguous() {
            return Ok(self.clone());
        }
        let copy = Tensor::uninitialized(self.gpu(), self.shape(), self.dtype())?;
        copy.copy_from(self)?;
        Ok(copy)
    }

    /// Whether the elements lie one after the other in row-major order.
    pub fn is_contiguous(&self) -> bool {
        is_contiguous(self.shape(), self.strides())
    }

    /// Elements from the first one to the end of the last one.
    pub(super) fn extent(&self) -> usize {
        extent(self.shape(), self.strides()).unwrap_or(0)
    }

    /// The number of the first one in the buffer.
    pub(crate) fn first_element(&self) -> usize {
        self.offset() as usize / self.dtype().size()
    }

    pub(crate) fn strides_error(&self, what: &'static str, reason: &'static str) -> Error {
        let (shape, strides) = (self.shape().to_vec(), self.strides().to_vec());
        Error::Strides { what, shape, strides, reason }
    }
}
