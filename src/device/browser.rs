//! Where this runs.

/// In a browser, where errors, and that the device is gone, are told only once the program has returned to its event loop.
pub(super) const IN_BROWSER: bool = cfg!(target_arch = "wasm32");
