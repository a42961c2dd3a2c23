//! The DevTools edge: routes, admission, hold, dial, upgrade, relay, reason.
