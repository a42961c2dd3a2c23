//! Listeners against runners that answer as a test says, over real sockets.

mod answers;
mod ends;
mod posts;
mod redirects;
mod single;
mod streams;
mod tls;
mod world;
