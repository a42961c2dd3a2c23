//! Pure: headers of WebSocket frames (RFC 6455 section 5.2), read and written.

use crate::rule::Rule;

/// Longest header: two bytes, a 64-bit length, a mask key.
pub(crate) const MAX_HEADER: usize = 14;
/// Longest payload of a control frame (section 5.5).
pub(crate) const MAX_CONTROL: usize = 125;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;

/// Who sends the frames. Clients mask them, servers do not (section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Browser,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    pub(crate) const fn is_control(self) -> bool {
        match self {
            Self::Continuation | Self::Text | Self::Binary => false,
            Self::Close | Self::Ping | Self::Pong => true,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::Continuation),
            1 => Some(Self::Text),
            2 => Some(Self::Binary),
            8 => Some(Self::Close),
            9 => Some(Self::Ping),
            10 => Some(Self::Pong),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    pub(crate) opcode: Opcode,
    pub(crate) mask: Option<[u8; 4]>,
    /// Length of the payload.
    pub(crate) len: u64,
    /// Length of the header itself.
    pub(crate) size: usize,
}

impl Header {
    /// Length of the whole frame.
    pub(crate) fn total(&self) -> u64 {
        // Cannot overflow: the top bit of `len` is 0.
        self.size as u64 + self.len
    }
}

/// Reads the header at the start of `bytes`; `None` if it is not all there.
///
/// Checks what one frame shows by itself. The order of frames is the scanner's business.
// Never inlined, so that reading and counting run the same code in the processor's cache.
#[inline(never)]
pub(crate) fn parse(bytes: &[u8], sender: Sender) -> Result<Option<Header>, Rule> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & RESERVED != 0 {
        return Err(Rule::ReservedBits);
    }
    let Some(opcode) = Opcode::from_bits(first & OPCODE) else { return Err(Rule::UnknownOpcode) };
    let fin = first & FIN != 0;
    let masked = second & MASKED != 0;
    match (sender, masked) {
        (Sender::Client, true) | (Sender::Browser, false) => {}
        (Sender::Client, false) => return Err(Rule::UnmaskedClientFrame),
        (Sender::Browser, true) => return Err(Rule::MaskedServerFrame),
    }
    let short = second & LENGTH;
    if opcode.is_control() {
        if !fin {
            return Err(Rule::FragmentedControl);
        }
        if usize::from(short) > MAX_CONTROL {
            return Err(Rule::ControlTooLong);
        }
    }
    let (len, long) = match short {
        126 => match rest.first_chunk::<2>() {
            None => return Ok(None),
            Some(long) => (u64::from(u16::from_be_bytes(*long)), 2),
        },
        127 => match rest.first_chunk::<8>() {
            None => return Ok(None),
            Some(long) => (u64::from_be_bytes(*long), 8),
        },
        short => (u64::from(short), 0),
    };
    if len >> 63 != 0 {
        return Err(Rule::LengthTopBit);
    }
    let mask = if masked {
        let Some(key) = rest[long..].first_chunk::<4>() else { return Ok(None) };
        Some(*key)
    } else {
        None
    };
    let size = 2 + long + if masked { 4 } else { 0 };
    Ok(Some(Header { fin, opcode, mask, len, size }))
}

/// A header as bytes, in the shortest form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoded {
    bytes: [u8; MAX_HEADER],
    size: usize,
}

impl AsRef<[u8]> for Encoded {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

pub(crate) fn encode(fin: bool, opcode: Opcode, mask: Option<[u8; 4]>, len: u64) -> Encoded {
    let mut bytes = [0; MAX_HEADER];
    bytes[0] = opcode.bits() | if fin { FIN } else { 0 };
    let mut size = 2;
    let short = if let Ok(len) = u8::try_from(len)
        && len < 126
    {
        len
    } else if let Ok(len) = u16::try_from(len) {
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        size = 4;
        126
    } else {
        bytes[2..10].copy_from_slice(&len.to_be_bytes());
        size = 10;
        127
    };
    bytes[1] = short;
    if let Some(key) = mask {
        bytes[1] |= MASKED;
        bytes[size..size + 4].copy_from_slice(&key);
        size += 4;
    }
    Encoded { bytes, size }
}

/// Masks or unmasks a piece of payload in place. `offset` is where the piece lies in the payload.
pub(crate) fn apply_mask(piece: &mut [u8], key: [u8; 4], offset: u64) {
    let mut key = key;
    key.rotate_left((offset % 4) as usize);
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (words, tail) = piece.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests;
