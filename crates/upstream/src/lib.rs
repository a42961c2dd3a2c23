//! Where the browser is now: generation, address, state, and why it went down.
