//! Facts of frame headers.

use super::{MAX_HEADER, Opcode, Sender, apply_mask, encode, parse};
use crate::rule::Rule;
use crate::testing::{Frame, TEXT};

fn client(bytes: &[u8]) -> Result<Option<super::Header>, Rule> {
    parse(bytes, Sender::Client)
}

#[test]
fn reads_every_length_form_of_both_senders() {
    for len in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
        for (frame, sender) in [
            (Frame::client(TEXT, vec![b'x'; len]), Sender::Client),
            (Frame::browser(TEXT, vec![b'x'; len]), Sender::Browser),
        ] {
            let bytes = frame.bytes();
            let header = parse(&bytes, sender).unwrap().unwrap();
            assert_eq!(header.len, len as u64);
            assert_eq!(header.size, frame.header_len());
            assert_eq!(header.mask, frame.mask);
            assert_eq!(header.total(), bytes.len() as u64);
            assert!(header.fin);
            assert_eq!(header.opcode, Opcode::Text);
        }
    }
}

#[test]
fn asks_for_more_until_the_header_is_whole() {
    for len in [3, 300, 70_000] {
        let frame = Frame::client(TEXT, vec![0; len]);
        let bytes = frame.bytes();
        for cut in 0..frame.header_len() {
            assert_eq!(client(&bytes[..cut]), Ok(None), "{cut} bytes of {len}");
        }
        assert!(client(&bytes[..frame.header_len()]).unwrap().is_some());
    }
}

#[test]
fn accepts_a_longer_length_form_than_needed() {
    let header = parse(&[0x82, 126, 0, 5], Sender::Browser).unwrap().unwrap();
    assert_eq!((header.len, header.size), (5, 4));
    let header = parse(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0, 5], Sender::Browser).unwrap().unwrap();
    assert_eq!((header.len, header.size), (5, 10));
}

#[test]
fn each_broken_rule_of_one_header_has_its_name() {
    for bit in [0x40, 0x20, 0x10] {
        assert_eq!(client(&[0x81 | bit, 0x80]), Err(Rule::ReservedBits));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        assert_eq!(client(&[0x80 | opcode, 0x80]), Err(Rule::UnknownOpcode));
    }
    for opcode in [8, 9, 10] {
        assert_eq!(client(&[opcode, 0x80]), Err(Rule::FragmentedControl));
        assert_eq!(client(&[0x80 | opcode, 0x80 | 126]), Err(Rule::ControlTooLong));
        assert_eq!(client(&[0x80 | opcode, 0x80 | 127]), Err(Rule::ControlTooLong));
    }
    assert_eq!(client(&[0x81, 5]), Err(Rule::UnmaskedClientFrame));
    assert_eq!(parse(&[0x81, 0x85], Sender::Browser), Err(Rule::MaskedServerFrame));
    let top = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(parse(&top, Sender::Browser), Err(Rule::LengthTopBit));
}

#[test]
fn what_is_encoded_is_read_back_in_the_shortest_form() {
    for len in [0, 125, 126, 65_535, 65_536, u64::MAX >> 1] {
        for mask in [None, Some([1, 2, 3, 4])] {
            let sender = if mask.is_some() { Sender::Client } else { Sender::Browser };
            let encoded = encode(false, Opcode::Binary, mask, len);
            let header = parse(encoded.as_ref(), sender).unwrap().unwrap();
            assert_eq!((header.fin, header.opcode), (false, Opcode::Binary));
            assert_eq!((header.mask, header.len), (mask, len));
            assert_eq!(header.size, encoded.as_ref().len());
            assert!(header.size <= MAX_HEADER);
        }
    }
}

#[test]
fn a_mask_applied_in_pieces_is_the_mask_applied_at_once() {
    let key = [0xde, 0xad, 0xbe, 0xef];
    let plain: Vec<u8> = (0..100).collect();
    let masked: Vec<u8> = plain.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
    for cut in 0..=plain.len() {
        let mut bytes = plain.clone();
        let (first, second) = bytes.split_at_mut(cut);
        apply_mask(first, key, 0);
        apply_mask(second, key, cut as u64);
        assert_eq!(bytes, masked, "cut at {cut}");
    }
}
