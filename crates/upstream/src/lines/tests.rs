use super::LineCutter;
use proptest::prelude::*;

fn lines(limit: usize, pieces: &[&[u8]]) -> (Vec<Vec<u8>>, u64) {
    let mut cutter = LineCutter::new(limit);
    let mut out = Vec::new();
    for piece in pieces {
        cutter.push(piece, |line| out.push(line.to_vec()));
    }
    (out, cutter.long_lines())
}

#[test]
fn a_line_is_held_until_its_newline() {
    let (out, _) = lines(64, &[b"one", b" line", b"\nnext"]);
    assert_eq!(out, [b"one line"]);
}

#[test]
fn one_carriage_return_before_the_newline_is_removed() {
    let (out, _) = lines(64, &[b"a\r\nb\rc\nd\r", b"\n\r\r\n"]);
    assert_eq!(out, [&b"a"[..], b"b\rc", b"d", b"\r"]);
}

#[test]
fn bytes_that_are_no_text_pass_unchanged() {
    let (out, _) = lines(64, &[b"a\0b\xff\xc3\n"]);
    assert_eq!(out, [b"a\0b\xff\xc3"]);
}

#[test]
fn nul_before_a_line_is_not_part_of_it_however_long() {
    let zeros = [0; 300];
    let (out, long) = lines(64, &[&zeros, &zeros, b"\0line\n\0\0\n"]);
    assert_eq!(out, [&b"line"[..], b""]);
    assert_eq!(long, 0);
}

#[test]
fn a_long_line_gives_its_start_once_and_the_next_lines_are_normal() {
    let (out, long) = lines(4, &[b"abc", b"defgh", b"ijk\nxy\n12345\n1234\n"]);
    assert_eq!(out, [&b"abcd"[..], b"xy", b"1234", b"1234"]);
    assert_eq!(long, 2);
}

#[test]
fn the_end_of_the_stream_gives_out_the_unfinished_line() {
    let mut cutter = LineCutter::new(64);
    cutter.push(b"a\nlast\r", |_| ());
    let mut out = Vec::new();
    cutter.finish(|line| out.extend_from_slice(line));
    assert_eq!(out, b"last");
    cutter.finish(|line| panic!("nothing is left, got {line:?}"));
}

#[test]
fn memory_of_a_long_line_is_given_back() {
    let mut cutter = LineCutter::new(64 * 1024);
    cutter.push(&[b'x'; 100_000], |_| ());
    cutter.push(b"\n", |line| assert_eq!(line.len(), 64 * 1024));
    assert_eq!(cutter.held.capacity(), 0);
}

proptest! {
    #[test]
    fn any_cut_of_the_input_gives_the_same_lines(
        bytes in prop::collection::vec(prop::sample::select(b"ab\r\n\0".to_vec()), 0..80),
        cuts in prop::collection::vec(1usize..10, 1..20),
        limit in 1usize..12,
    ) {
        let (whole, whole_long) = lines(limit, &[&bytes]);
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        let (cut, cut_long) = lines(limit, &pieces);
        prop_assert_eq!(whole, cut);
        prop_assert_eq!(whole_long, cut_long);
    }
}
