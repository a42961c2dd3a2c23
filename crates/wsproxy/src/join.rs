//! Pure: fragments of one message, put together to one frame.

use crate::frame::{self, Header, MAX_HEADER, Opcode};

/// A fragmented message of the client that is still being collected.
#[derive(Debug)]
pub(crate) struct Join {
    opcode: Opcode,
    /// The key of the frame to come. Pieces are masked with it as they arrive.
    key: [u8; 4],
    /// Room for the header, then the payload.
    bytes: Vec<u8>,
}

impl Join {
    pub(crate) fn new(first: &Header, key: [u8; 4]) -> Self {
        Self { opcode: first.opcode, key, bytes: vec![0; MAX_HEADER] }
    }

    /// Payload bytes that are held.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - MAX_HEADER
    }

    /// Adds a piece of a fragment that is masked with `key`, `offset` bytes into its payload.
    pub(crate) fn push(&mut self, piece: &[u8], key: [u8; 4], offset: u64) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(piece);
        let ours = (at - MAX_HEADER) as u64;
        frame::apply_mask(&mut self.bytes[at..], key, offset);
        frame::apply_mask(&mut self.bytes[at..], self.key, ours);
    }

    /// The one frame; with `fin` unset the first fragment of a message that goes on.
    pub(crate) fn into_frame(mut self, fin: bool) -> Joined {
        let header = frame::encode(fin, self.opcode, Some(self.key), self.len() as u64);
        let header = header.as_ref();
        let at = MAX_HEADER - header.len();
        self.bytes[at..MAX_HEADER].copy_from_slice(header);
        Joined { bytes: self.bytes, at }
    }
}

/// A joined frame on its way out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    bytes: Vec<u8>,
    /// Start of what is not written yet.
    at: usize,
}

impl Joined {
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    pub(crate) fn advance(&mut self, written: usize) {
        self.at += written;
    }
}
