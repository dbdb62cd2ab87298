//! burn's layers on gpunorm's kernels: against float64, PyTorch and burn's own, as burn's users have them. On the adapter that burn
//! chooses, through autotune, fusion and autodiff.

mod against_burn;
mod compare;
mod differences;
mod elements;
mod fallback;
mod float64;
mod layer;
mod layouts;
mod lazy;
mod modules;
mod nets;
mod records;
mod refusals;
mod threads;
mod training;
mod values;
