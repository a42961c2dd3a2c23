//! Frames for tests, written and read independently of the code under test.

/// A frame as it goes over the wire. `opcode` may be any nibble, `first` bits may be set wrongly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
    pub(crate) mask: Option<[u8; 4]>,
}

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

const KEY: [u8; 4] = [0x11, 0xa2, 0x33, 0xf4];

impl Frame {
    /// As a client sends it.
    pub(crate) fn client(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Self { fin: true, opcode, payload: payload.as_ref().to_vec(), mask: Some(KEY) }
    }

    /// As a browser sends it.
    pub(crate) fn browser(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Self { mask: None, ..Self::client(opcode, payload) }
    }

    pub(crate) fn unfinished(self) -> Self {
        Self { fin: false, ..self }
    }

    pub(crate) fn header_len(&self) -> usize {
        self.bytes().len() - self.payload.len()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let len = self.payload.len();
        let mask_bit = if self.mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![if self.fin { 0x80 } else { 0 } | self.opcode];
        if len < 126 {
            bytes.push(mask_bit | len as u8);
        } else if len < 65536 {
            bytes.push(mask_bit | 126);
            bytes.extend((len as u16).to_be_bytes());
        } else {
            bytes.push(mask_bit | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
        if let Some(key) = self.mask {
            bytes.extend(key);
        }
        let key = self.mask.unwrap_or_default();
        bytes.extend(self.payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]));
        bytes
    }

    /// The payload of a Close.
    pub(crate) fn code(&self) -> Option<u16> {
        self.payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code))
    }
}

pub(crate) fn close_payload(code: u16, text: &str) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend(text.as_bytes());
    payload
}

pub(crate) fn wire<'a>(frames: impl IntoIterator<Item = &'a Frame>) -> Vec<u8> {
    frames.into_iter().flat_map(Frame::bytes).collect()
}

/// How many bytes the first frame takes and what it is; `None` if it is not all there.
pub(crate) fn decode_one(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (len, at) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?), 10),
        len => (u64::from(len), 2),
    };
    let (mask, at) = match second & 0x80 {
        0 => (None, at),
        _ => (Some(*bytes.get(at..)?.first_chunk::<4>()?), at + 4),
    };
    let end = at + usize::try_from(len).ok()?;
    let key = mask.unwrap_or_default();
    let payload = bytes.get(at..end)?;
    let payload = payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
    Some((Frame { fin: first & 0x80 != 0, opcode: first & 0x0f, payload, mask }, end))
}

/// All frames of `bytes`, which must end with a whole one.
pub(crate) fn decode(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (frame, end) = decode_one(bytes).expect("a whole frame");
        frames.push(frame);
        bytes = &bytes[end..];
    }
    frames
}
