#![doc = include_str!("../README.md")]

mod close;
mod closing;
mod end;
mod ending;
mod endpoint;
mod entropy;
mod found;
mod frame;
#[cfg(feature = "handshake")]
pub mod handshake;
mod join;
mod lane;
mod limits;
mod observe;
mod outbox;
mod pipe;
mod plan;
mod pool;
mod quiet;
mod relay;
mod report;
mod rule;
mod scan;
mod session;
mod side;
mod stop;
mod tally;
mod tap;
mod tcp;
mod timer;
mod verdict;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use close::{CloseCode, CloseFrame, InvalidCloseCode, MAX_CLOSE_TEXT};
pub use ending::Ending;
pub use endpoint::{Endpoint, Plain};
pub use limits::{Keepalive, Limits, LimitsError, TcpTimers};
pub use pool::Budget;
pub use relay::Relay;
pub use report::{CloseSent, DirectionReport, FirstClose, Moment, Party, QuietEnd, RelayReport};
pub use rule::Rule;
pub use stop::{Stop, StopMode, StopSide, StopToken, Stopper, stop_channel};
pub use tap::{Tap, TapMessage};
pub use verdict::{Cause, Detail, Terminal, Vanished};
