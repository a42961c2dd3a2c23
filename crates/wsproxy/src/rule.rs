//! Pure: the rules that every frame of both peers must keep.

use crate::close::CloseCode;
use std::fmt;

/// A rule of RFC 6455 that a peer broke. Its name is part of the verdict and of the close text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// RSV1, RSV2 and RSV3 are 0, since no extension was agreed on (section 5.2).
    ReservedBits,
    /// The opcode is 0, 1, 2, 8, 9 or 10 (section 5.2).
    UnknownOpcode,
    /// A control frame is not fragmented (section 5.5).
    FragmentedControl,
    /// The payload of a control frame is at most 125 bytes (section 5.5).
    ControlTooLong,
    /// A continuation frame continues a message that was begun (section 5.4).
    ContinuationOutsideMessage,
    /// A new message does not begin inside another one (section 5.4).
    MessageInsideMessage,
    /// The top bit of a 64-bit length is 0 (section 5.2).
    LengthTopBit,
    /// Frames of a client are masked (section 5.1).
    UnmaskedClientFrame,
    /// Frames of a server are not masked (section 5.1).
    MaskedServerFrame,
    /// The payload of a Close is empty or holds a whole code (section 5.5.1).
    ClosePayload,
    /// The code of a Close may be sent on the wire (section 7.4).
    CloseCode,
    /// The text of a Close is UTF-8 (section 5.5.1).
    CloseText,
}

impl Rule {
    /// All rules, for tables and tests.
    pub const ALL: [Self; 12] = [
        Self::ReservedBits,
        Self::UnknownOpcode,
        Self::FragmentedControl,
        Self::ControlTooLong,
        Self::ContinuationOutsideMessage,
        Self::MessageInsideMessage,
        Self::LengthTopBit,
        Self::UnmaskedClientFrame,
        Self::MaskedServerFrame,
        Self::ClosePayload,
        Self::CloseCode,
        Self::CloseText,
    ];

    /// The name of the rule: lower case, words joined by `_`. Stable, fit for a metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReservedBits => "reserved_bits",
            Self::UnknownOpcode => "unknown_opcode",
            Self::FragmentedControl => "fragmented_control",
            Self::ControlTooLong => "control_too_long",
            Self::ContinuationOutsideMessage => "continuation_outside_message",
            Self::MessageInsideMessage => "message_inside_message",
            Self::LengthTopBit => "length_top_bit",
            Self::UnmaskedClientFrame => "unmasked_client_frame",
            Self::MaskedServerFrame => "masked_server_frame",
            Self::ClosePayload => "close_payload",
            Self::CloseCode => "close_code",
            Self::CloseText => "close_text",
        }
    }

    /// The code that the peer who broke the rule is closed with: 1007 for text that is not UTF-8,
    /// 1002 for everything else (section 7.4.1).
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::CloseText => CloseCode::INVALID_PAYLOAD,
            Self::ReservedBits
            | Self::UnknownOpcode
            | Self::FragmentedControl
            | Self::ControlTooLong
            | Self::ContinuationOutsideMessage
            | Self::MessageInsideMessage
            | Self::LengthTopBit
            | Self::UnmaskedClientFrame
            | Self::MaskedServerFrame
            | Self::ClosePayload
            | Self::CloseCode => CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
