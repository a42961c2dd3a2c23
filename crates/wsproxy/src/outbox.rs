//! Pure: our own control frames to one side. One pong, one ping and one Close at most wait; each is
//! written whole, between two frames of the other side.

use crate::close::CloseFrame;
use crate::frame::{self, MAX_HEADER, Opcode, Sender};

/// A control frame of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    Pong,
    Ping,
    Close,
}

#[derive(Debug)]
struct Out {
    control: Control,
    bytes: Vec<u8>,
    at: usize,
}

/// What waits and what is being written. Absent as a rule.
#[derive(Debug, Default)]
struct Frames {
    writing: Option<Out>,
    pong: Option<Box<[u8]>>,
    ping: bool,
    close: Option<CloseFrame>,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    /// As whom we write: as a client to the browser, as a server to the client.
    role: Sender,
    frames: Option<Box<Frames>>,
}

impl Outbox {
    pub(crate) fn new(role: Sender) -> Self {
        Self { role, frames: None }
    }

    /// Answers a ping, instead of an older one that was not answered yet.
    pub(crate) fn pong(&mut self, payload: Box<[u8]>) {
        self.frames.get_or_insert_default().pong = Some(payload);
    }

    /// Sends a ping without payload.
    pub(crate) fn ping(&mut self) {
        self.frames.get_or_insert_default().ping = true;
    }

    /// Sends a Close, and nothing after it.
    pub(crate) fn close(&mut self, close: CloseFrame) {
        self.forget();
        self.frames.get_or_insert_default().close = Some(close);
    }

    /// Drops what was not begun.
    pub(crate) fn forget(&mut self) {
        if let Some(frames) = &mut self.frames {
            frames.pong = None;
            frames.ping = false;
        }
        self.tidy();
    }

    fn tidy(&mut self) {
        if !self.is_writing() && !self.is_waiting() {
            self.frames = None;
        }
    }

    /// Whether there is anything to write.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_none()
    }

    /// Whether a frame is begun and not finished: nothing else may be written.
    #[inline]
    pub(crate) fn is_writing(&self) -> bool {
        self.frames.as_ref().is_some_and(|frames| frames.writing.is_some())
    }

    /// Whether a frame waits for a frame boundary.
    #[inline]
    pub(crate) fn is_waiting(&self) -> bool {
        self.frames
            .as_ref()
            .is_some_and(|frames| frames.pong.is_some() || frames.ping || frames.close.is_some())
    }

    /// At a frame boundary: begins the next frame, if one waits.
    pub(crate) fn begin(&mut self) {
        let Some(frames) = &mut self.frames else { return };
        if frames.writing.is_some() {
            return;
        }
        let (control, opcode, payload) = if let Some(payload) = frames.pong.take() {
            (Control::Pong, Opcode::Pong, payload.into_vec())
        } else if std::mem::take(&mut frames.ping) {
            (Control::Ping, Opcode::Ping, Vec::new())
        } else if let Some(close) = frames.close.take() {
            (Control::Close, Opcode::Close, close.payload())
        } else {
            return;
        };
        let key = match self.role {
            Sender::Client => Some(crate::entropy::bytes()),
            Sender::Browser => None,
        };
        let mut bytes = Vec::with_capacity(MAX_HEADER + payload.len());
        bytes.extend_from_slice(frame::encode(true, opcode, key, payload.len() as u64).as_ref());
        let at = bytes.len();
        bytes.extend_from_slice(&payload);
        if let Some(key) = key {
            frame::apply_mask(&mut bytes[at..], key, 0);
        }
        frames.writing = Some(Out { control, bytes, at: 0 });
    }

    /// What is to be written of the frame that is begun.
    pub(crate) fn front(&self) -> &[u8] {
        let writing = self.frames.as_ref().and_then(|frames| frames.writing.as_ref());
        writing.map_or(&[], |out| &out.bytes[out.at..])
    }

    /// The first `n` bytes of the front were written. Returns which frame that finished.
    pub(crate) fn wrote(&mut self, n: usize) -> Option<Control> {
        let frames = self.frames.as_mut()?;
        let out = frames.writing.as_mut()?;
        out.at += n;
        if out.at < out.bytes.len() {
            return None;
        }
        let control = out.control;
        frames.writing = None;
        self.tidy();
        Some(control)
    }
}

#[cfg(test)]
mod tests;
