//! A person at a browser: looks at a tab, clicks, drags, presses keys. By Chromium's DevTools protocol.

mod json;
mod socket;
mod tab;

pub use tab::Tab;
