//! Any interleaving of writing, rotating, cutting and restarting ends where an ideal log ends.

use std::time::Instant;

use proptest::prelude::*;

use super::{Disk, SimDisk, Tail, tail};
use crate::announce::{AnnounceScanner, PrefixForm, Scan};
use crate::model::{Model, step};
use crate::state::Fact;
use crate::testing::line;
use crate::url::{UrlPolicy, WsUrl};

#[derive(Clone, Debug)]
enum Op {
    /// Put so many more bytes of the writer's text into the log.
    Write(usize),
    /// Move the file away; the new one comes now, or with the next byte.
    Rotate {
        create: bool,
    },
    /// Copy the file away and cut it, to nothing.
    CopyTruncate,
    Wake,
    /// The reader loses everything but its last checkpoint.
    Restart,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (1usize..120).prop_map(Op::Write),
        1 => any::<bool>().prop_map(|create| Op::Rotate { create }),
        1 => Just(Op::CopyTruncate),
        3 => Just(Op::Wake),
        1 => Just(Op::Restart),
    ];
    prop::collection::vec(op, 1..80)
}

/// What the writers put into the log over time: noise, and announcements of instance after
/// instance. Lines carry a number, as real ones carry a time.
fn text(kinds: &[u8]) -> Vec<u8> {
    let mut text = String::new();
    for (n, kind) in kinds.iter().enumerate() {
        text += &match kind {
            0 => line(9222, &format!("id-{n}")),
            1 => line(9222, &format!("id-{n}")).replace('\n', "\r\n"),
            2 => format!("DevTools listening on ws://evil.example:1/devtools/browser/{n}\n"),
            3 => format!("{n}: DevTools listening on ws://127.0.0.1:1/devtools/browser/{n}\n"),
            _ => format!("[{n}:WARNING] noise\n"),
        };
    }
    text.into_bytes()
}

fn last_announced(text: &[u8]) -> Option<WsUrl> {
    let mut scanner = AnnounceScanner::new(UrlPolicy::default(), PrefixForm::None);
    let urls = text.split(|&b| b == b'\n').filter_map(|line| match scanner.scan(line) {
        Scan::Announced(url) => Some(url),
        Scan::Nothing | Scan::Refused(_) => None,
    });
    urls.last()
}

/// An instance counts if it lives when its line is read; the last one announced does.
fn apply(model: &mut Model, announced: &[WsUrl], lives: Option<&WsUrl>) {
    if let Some(url) = announced.iter().find(|url| Some(*url) == lives).cloned() {
        let next = step(std::mem::take(model), Fact::Ready { url }, Instant::now());
        *model = next.0;
    }
}

/// After very little was read of a file, a cut and grown one can start with the very same bytes.
/// Then nobody can tell, and such a run says nothing about the reader.
fn looks_uncut(tail: &Tail<u64>, disk: &SimDisk) -> bool {
    tail.file.is_some_and(|(file, _)| {
        let size = disk.size(&file).unwrap();
        let back = tail.read_back(disk, &file).unwrap();
        (1..64).contains(&tail.follower.offset()) && tail.follower.is_same(size, &back)
    })
}

/// Plays `ops`. With `in_time`, the reader wakes before bytes that it has not read would be out of
/// its reach: then it must end where the ideal log ends. Without, it may have missed instances,
/// and must be right again with the next line.
fn play(kinds: &[u8], ops: &[Op], in_time: bool) -> Result<(), TestCaseError> {
    let text = text(kinds);
    let mut rest = &text[..];
    let (mut disk, mut tail) = (SimDisk::default(), tail());
    let mut checkpoint = tail.clone();
    // The ideal log is all of the text so far, never rotated, read at the same moments.
    let mut seen = 0;
    let (mut ideal, mut real) = (Model::new(), Model::new());
    // Written since the last wake and only under the present name: gone if the file is cut, or
    // moved away before the reader has opened it.
    let mut unread = 0;
    let mut lost = false;
    // The file was cut since the last wake.
    let mut cut = false;
    let mut written = 0;
    for op in ops.iter().chain(&[Op::Wake, Op::Wake]) {
        let is_open = tail.file.as_ref().map(|(inode, _)| *inode) == disk.name;
        let loses = match op {
            Op::CopyTruncate => unread > 0,
            Op::Rotate { .. } => unread > 0 && !is_open,
            Op::Write(_) | Op::Wake | Op::Restart => false,
        };
        if matches!(op, Op::Wake) || (loses && in_time) {
            if cut && looks_uncut(&tail, &disk) {
                return Ok(());
            }
            cut = false;
            let log = &text[..written];
            let whole = log.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
            let lives = last_announced(&log[..whole]);
            apply(&mut ideal, last_announced(&log[seen..whole]).as_slice(), lives.as_ref());
            seen = whole;
            apply(&mut real, &tail.wake(&disk).announced, lives.as_ref());
            checkpoint = tail.clone();
            unread = 0;
        }
        lost |= loses && !in_time;
        match op {
            Op::Write(bytes) => {
                let (now, later) = rest.split_at((*bytes).min(rest.len()));
                rest = later;
                if !now.is_empty() {
                    disk.append(now);
                    unread += now.len();
                    written += now.len();
                }
            }
            Op::Rotate { create } => {
                unread = 0;
                disk.rename_away();
                if *create {
                    disk.create();
                }
            }
            Op::CopyTruncate => {
                unread = 0;
                cut = true;
                disk.truncate(0);
            }
            Op::Wake => {}
            Op::Restart => tail = checkpoint.clone(),
        }
    }
    if lost {
        let next = line(9222, "the-next");
        disk.append(format!("\n{next}").as_bytes());
        let woken = tail.wake(&disk);
        let lives = last_announced(next.as_bytes());
        prop_assert_eq!(woken.announced.last(), lives.as_ref());
        return Ok(());
    }
    prop_assert_eq!(real.state().generation, ideal.state().generation);
    prop_assert_eq!(&real.state().url, &ideal.state().url);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_interleaving_ends_in_the_generation_of_the_ideal_log(
        kinds in prop::collection::vec(0u8..6, 1..60),
        ops in ops(),
    ) {
        play(&kinds, &ops, true)?;
    }

    #[test]
    fn a_reader_that_came_too_late_is_right_again_with_the_next_line(
        kinds in prop::collection::vec(0u8..6, 1..60),
        ops in ops(),
    ) {
        play(&kinds, &ops, false)?;
    }
}
