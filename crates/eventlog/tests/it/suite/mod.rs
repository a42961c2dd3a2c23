//! What every backend must do. A backend's file names itself and gets one test for each.

use std::sync::Arc;

use eventlog::{
    Batch, BoxFuture, Gap, Log, LogName, LogOptions, NewRecord, ReadLimit, Record, Store,
};

mod following;
mod life;
mod records;

pub(crate) use following::{
    a_follower_goes_from_stored_to_live_without_a_seam,
    a_follower_under_concurrent_append_and_trim_sees_each_offset_once,
    an_idle_follower_can_be_dropped_and_started_again,
};
pub(crate) use life::{
    a_closed_log_takes_nothing_and_its_followers_end, a_closed_store_answers_closed,
    a_deleted_log_is_gone_and_its_name_is_free, a_restart_keeps_everything_or_makes_a_new_epoch,
    an_open_log_is_shared_and_logs_are_listed, retention_by_age_goes_by_the_newest_time_seen,
    retention_by_bytes_drops_the_oldest_and_never_the_newest,
};
pub(crate) use records::{
    a_batch_over_the_limit_is_refused_whole, a_dropped_append_can_be_repeated_under_its_name,
    a_named_batch_is_stored_once, concurrent_appends_get_each_offset_once,
    numbers_go_on_after_everything_was_trimmed, offsets_start_at_one_and_grow_by_one,
    pages_keep_their_limits_and_have_at_least_one_record,
    reading_at_the_end_is_empty_and_beyond_it_is_refused,
    reading_before_the_first_record_tells_the_gap,
};

/// A `ts` far from both ends of what is kept, in 2100.
pub(crate) const NOW: i64 = 4_102_444_800_000_000;

/// A place to store logs, and its life over restarts.
pub(crate) trait Backend {
    /// Opens the storage, after it was closed too.
    fn start(&mut self) -> BoxFuture<'_, Arc<dyn Store>>;
    /// Whether what was stored is there after the store was closed and started again.
    fn survives(&self) -> bool;
}

/// Hands the names of all facts to a macro, behind a backend.
macro_rules! with_facts {
    ($($then:ident)::+, $backend:expr) => {
        $($then)::+! { $backend,
            offsets_start_at_one_and_grow_by_one,
            a_batch_over_the_limit_is_refused_whole,
            concurrent_appends_get_each_offset_once,
            pages_keep_their_limits_and_have_at_least_one_record,
            reading_before_the_first_record_tells_the_gap,
            reading_at_the_end_is_empty_and_beyond_it_is_refused,
            numbers_go_on_after_everything_was_trimmed,
            retention_by_bytes_drops_the_oldest_and_never_the_newest,
            retention_by_age_goes_by_the_newest_time_seen,
            a_named_batch_is_stored_once,
            a_dropped_append_can_be_repeated_under_its_name,
            an_open_log_is_shared_and_logs_are_listed,
            a_deleted_log_is_gone_and_its_name_is_free,
            a_closed_log_takes_nothing_and_its_followers_end,
            a_closed_store_answers_closed,
            a_follower_goes_from_stored_to_live_without_a_seam,
            a_follower_under_concurrent_append_and_trim_sees_each_offset_once,
            an_idle_follower_can_be_dropped_and_started_again,
            a_restart_keeps_everything_or_makes_a_new_epoch,
        }
    };
}

pub(crate) use with_facts;

pub(crate) fn options() -> LogOptions {
    LogOptions::default()
}

async fn open(store: &Arc<dyn Store>, name: &str) -> Arc<dyn Log> {
    store.open(&LogName::new(name).unwrap(), options()).await.unwrap()
}

fn batch(words: &[&str]) -> Batch {
    let record = |word: &&str| NewRecord { ts: NOW, payload: word.as_bytes().to_vec().into() };
    Batch::new(words.iter().map(record).collect()).unwrap()
}

pub(crate) fn payloads(records: &[Record]) -> Vec<String> {
    records.iter().map(|r| String::from_utf8(r.payload.to_vec()).unwrap()).collect()
}

/// Reads a log from an offset to its end: the offsets and gaps, page after page.
async fn read_all(log: &Arc<dyn Log>, from: u64) -> (Vec<u64>, Vec<Gap>) {
    let (mut offsets, mut gaps, mut next) = (Vec::new(), Vec::new(), from);
    loop {
        let page = log.read_from(next, ReadLimit::default()).await.unwrap();
        gaps.extend(page.gap);
        if page.records.is_empty() && page.gap.is_none() {
            return (offsets, gaps);
        }
        offsets.extend(page.records.iter().map(|record| record.offset));
        next = page.next;
    }
}
