//! What a client did with its browser, without its secrets: `cdp_command`.
//!
//! Of a command only what one table lists is kept: numbers, flags, known words, lengths and counts.
//! No text of a user's or of a page's ever comes out, whatever a client puts into a message.

mod decode;
mod describe;
mod event;
mod glance;
mod reduce;
mod room;
mod table;
mod tap;

pub use event::CdpCommand;
pub use room::{CommandRoom, IN_FLIGHT_BYTES};
pub use tap::{
    CommandCounts, CommandTally, CommandTap, CommandWorker, FLUSH, IN_FLIGHT_MESSAGES, MESSAGE_MAX,
    Session,
};

use decode::{Decoded, decode};
pub(crate) use describe::{method_rows, method_schemas};
use glance::may_be_listed;
pub(crate) use table::find;

#[cfg(test)]
mod privacy_tests;
#[cfg(test)]
mod tests;
