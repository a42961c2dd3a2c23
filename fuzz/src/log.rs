//! The log follower and the line that announces a browser.

use upstream::{AnnounceScanner, Follower, PrefixForm, Torn, UrlPolicy};

use crate::cut::cut;

/// The lines do not depend on where the file was cut into reads, and no line is longer than the
/// limit. A URL that is taken from a line is one that its policy allows.
pub(crate) fn follow(input: &[u8]) {
    let (chunks, whole) = cut(input);
    let (lines, offset) = read(&chunks);
    assert_eq!((&lines, offset), (&read(&[whole]).0, whole.len() as u64));
    let policy = UrlPolicy::default();
    let mut scanner = AnnounceScanner::new(policy, PrefixForm::None);
    for line in &lines {
        assert!(line.len() <= upstream::MAX_LINE);
        if let upstream::Scan::Announced(url) = scanner.scan(line) {
            assert!(url.to_string().starts_with("ws://"), "{url}");
            assert!(url.to_string().contains("/devtools/browser/"), "{url}");
        }
    }
}

fn read(chunks: &[&[u8]]) -> (Vec<Vec<u8>>, u64) {
    let mut follower = Follower::new();
    let mut lines = Vec::new();
    for chunk in chunks {
        follower.handle_bytes(chunk, |line| {
            assert_eq!(line.torn, Torn::Whole, "nothing was rotated");
            lines.push(line.bytes.to_vec());
        });
    }
    (lines, follower.offset())
}
