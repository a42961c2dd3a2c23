use super::{Follower, LOOK_BACK, MAX_LINE, ReadBack, Torn};

fn lines(follower: &mut Follower, bytes: &[u8]) -> Vec<(String, Torn)> {
    let mut out = Vec::new();
    follower.handle_bytes(bytes, |line| {
        out.push((String::from_utf8_lossy(line.bytes).into_owned(), line.torn));
    });
    out
}

fn plain(line: &str) -> (String, Torn) {
    (line.to_owned(), Torn::Whole)
}

fn rest(line: &str) -> (String, Torn) {
    (line.to_owned(), Torn::Rest)
}

fn joined(line: &str) -> (String, Torn) {
    (line.to_owned(), Torn::Joined)
}

/// What a reader of `file` would read back.
fn back(follower: &Follower, file: &[u8]) -> (u64, ReadBack) {
    let offset = usize::try_from(follower.offset()).unwrap().min(file.len());
    let head = file[..follower.head_len().min(file.len())].to_vec();
    let before = file[offset - follower.before_len().min(offset)..offset].to_vec();
    (file.len() as u64, ReadBack { head, before })
}

fn is_same(follower: &Follower, file: &[u8]) -> bool {
    let (size, back) = back(follower, file);
    follower.is_same(size, &back)
}

#[test]
fn a_file_that_only_grows_is_the_same_at_every_length() {
    let file: Vec<u8> = (0..2000u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    for piece in [1, 7, 255, 256, 257, 900] {
        let mut follower = Follower::new();
        let mut at = 0;
        while at < file.len() {
            assert!(is_same(&follower, &file[..at]), "unchanged at {at}");
            let next = (at + piece).min(file.len());
            assert!(is_same(&follower, &file[..next]), "grown to {next}");
            follower.handle_bytes(&file[at..next], |_| ());
            at = next;
        }
        assert_eq!(follower.offset(), 2000);
        assert_eq!((follower.head_len(), follower.before_len()), (LOOK_BACK, LOOK_BACK));
    }
}

#[test]
fn a_file_that_was_cut_is_another_text_even_if_it_has_grown_past_the_position() {
    let mut follower = Follower::new();
    lines(&mut follower, b"banner\nfirst\n");
    assert!(!is_same(&follower, b""));
    assert!(!is_same(&follower, b"banner\n"));
    assert!(!is_same(&follower, b"Banner\nfirst\nand more"));
    // The same start, as a supervisor prints it: what stands before the position tells.
    assert!(!is_same(&follower, b"banner\nother and more\n"));
    // A writer that kept its position leaves NUL in front.
    assert!(!is_same(&follower, b"\0\0\0\0\0\0\0\0\0\0\0\0\0and more\n"));
}

#[test]
fn nothing_is_forgotten_of_a_line_that_a_rotation_tears() {
    let mut follower = Follower::new();
    assert_eq!(lines(&mut follower, b"one\nDevTo"), [plain("one")]);
    follower.handle_restart();
    assert_eq!(follower.offset(), 0);
    assert!(is_same(&follower, b"ols"));
    // The writer went on with the line, or began another one: both are handed out.
    assert_eq!(
        lines(&mut follower, b"ols\nthree\n"),
        [joined("DevTools"), rest("ols"), plain("three")]
    );
}

#[test]
fn a_line_torn_again_and_again_is_joined_from_every_start() {
    let mut follower = Follower::new();
    for part in ["a", "b"] {
        lines(&mut follower, part.as_bytes());
        follower.handle_restart();
    }
    // A restart with nothing held adds nothing.
    follower.handle_restart();
    assert_eq!(lines(&mut follower, b"c\n"), [joined("abc"), joined("bc"), rest("c")]);

    let parts: String = ('a'..='z').collect();
    for part in parts.bytes() {
        lines(&mut follower, &[part]);
        follower.handle_restart();
    }
    let out = lines(&mut follower, b"!\n");
    assert_eq!(out.first(), Some(&joined(&format!("{parts}!"))));
    assert_eq!(out.len(), 9, "how many starts are kept is bounded");
}

#[test]
fn joined_lines_are_bounded_too() {
    let mut follower = Follower::new();
    follower.handle_bytes(&vec![b'x'; MAX_LINE], |_| ());
    follower.handle_restart();
    let mut lengths = Vec::new();
    let mut rest = vec![b'y'; MAX_LINE + 10];
    rest.push(b'\n');
    follower.handle_bytes(&rest, |line| lengths.push(line.bytes.len()));
    assert_eq!(lengths, [MAX_LINE, MAX_LINE]);
    assert_eq!(follower.long_lines(), 1);
}
