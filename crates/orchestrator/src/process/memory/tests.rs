use super::*;

#[test]
fn the_share_is_read_and_not_one_of_its_parts() {
    let rollup = "5600-7ffc ---p 00000000 00:00 0 [rollup]\nRss:  9000 kB\nPss:   70 kB\n\
                  Pss_Dirty:  5 kB\nPss_Anon:  1 kB\n";
    assert_eq!(parse_pss(rollup), Some(70 * 1024));
    assert_eq!(parse_pss(""), None);
}

#[test]
fn what_a_process_has_for_itself_includes_its_shared_memory() {
    let status = "VmRSS:\t 900 kB\nRssAnon:\t 100 kB\nRssFile:\t 700 kB\nRssShmem:\t 20 kB\n";
    assert_eq!(parse_own(status), Some(120 * 1024));
    // A kernel thread or a zombie has no such lines.
    assert_eq!(parse_own("Name:\tx\n"), None);
}

#[test]
fn this_process_uses_memory() {
    let me = std::process::id().cast_signed();
    assert!(used_by(me) > 100 * 1024);
    assert_eq!(used_by(i32::MAX), 0);
}
