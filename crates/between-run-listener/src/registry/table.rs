//! What the registry knows of each session. Every decision is made here, under one lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::feed::SessionKey;
use crate::listener::{Board, Setup, State, Status};

use super::Row;

#[derive(Default)]
pub(super) struct Table {
    last_generation: u64,
    closed: bool,
    slots: HashMap<SessionKey, Slot>,
}

/// One session: it is here while it has a listener, a pin, or a listener that gave up.
struct Slot {
    live: Option<Live>,
    ended: Option<Ended>,
    pins: usize,
    last_seen: Instant,
}

/// A listener.
pub(super) struct Live {
    pub(super) generation: u64,
    pub(super) cancel: CancellationToken,
    /// Cancelled when the listener's task is over and the slot is free.
    pub(super) gone: CancellationToken,
    pub(super) board: Arc<Board>,
    pub(super) setup: Arc<Setup>,
    pub(super) armed_at: Instant,
}

/// A listener that gave up.
struct Ended {
    status: Status,
    setup: Arc<Setup>,
    armed_at: Instant,
}

/// What a wish for a listener meets.
pub(super) enum Next {
    /// Nothing: it may be started.
    Free,
    /// One that lives; if it was waiting, it has been kicked.
    Already(u64),
    /// One that is ending.
    Ending(CancellationToken),
    /// One that gave up, and not long ago.
    TooSoon(Duration),
    /// The end of the registry.
    Closed,
}

impl Slot {
    const fn new(now: Instant) -> Self {
        Self { live: None, ended: None, pins: 0, last_seen: now }
    }

    const fn is_empty(&self) -> bool {
        self.live.is_none() && self.ended.is_none() && self.pins == 0
    }

    fn last_seen(&self) -> Instant {
        let event = self.live.as_ref().and_then(|live| live.board.status().last_event);
        event.map_or(self.last_seen, |event| event.max(self.last_seen))
    }

    fn status(&self) -> Option<Status> {
        let live = self.live.as_ref().map(|live| live.board.status());
        live.or_else(|| self.ended.as_ref().map(|ended| ended.status))
    }
}

impl Table {
    /// A generation that no listener has had.
    pub(super) const fn generation(&mut self) -> u64 {
        self.last_generation += 1;
        self.last_generation
    }

    pub(super) fn look(&self, key: &SessionKey, now: Instant, rearm_every: Duration) -> Next {
        if self.closed {
            return Next::Closed;
        }
        let Some(slot) = self.slots.get(key) else { return Next::Free };
        match (&slot.live, &slot.ended) {
            (Some(live), _) if live.cancel.is_cancelled() || live.board.is_final() => {
                Next::Ending(live.gone.clone())
            }
            (Some(live), _) => {
                live.board.kick();
                Next::Already(live.generation)
            }
            (None, Some(ended)) => match (ended.armed_at + rearm_every).checked_duration_since(now)
            {
                Some(wait) if !wait.is_zero() => Next::TooSoon(wait),
                _ => Next::Free,
            },
            (None, None) => Next::Free,
        }
    }

    pub(super) fn put(&mut self, key: &SessionKey, live: Live, now: Instant) {
        let slot = self.slots.entry(key.clone()).or_insert_with(|| Slot::new(now));
        slot.last_seen = now;
        slot.ended = None;
        slot.live = Some(live);
    }

    /// The listener's task is over. If the slot has another listener by now, that one stays.
    pub(super) fn finished(&mut self, key: &SessionKey, generation: u64) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let Some(live) = slot.live.take_if(|live| live.generation == generation) else { return };
        slot.last_seen =
            slot.last_seen.max(live.board.status().last_event.unwrap_or(slot.last_seen));
        let status = live.board.status();
        if matches!(status.state, State::GaveUp(_)) {
            slot.ended = Some(Ended { status, setup: live.setup, armed_at: live.armed_at });
        }
        self.tidy(key);
    }

    /// Tells the listener to end, if there is one, of this generation if one is given.
    pub(super) fn cancel(
        &self,
        key: &SessionKey,
        generation: Option<u64>,
    ) -> Option<CancellationToken> {
        let live = self.slots.get(key)?.live.as_ref()?;
        if generation.is_some_and(|generation| generation != live.generation) {
            return None;
        }
        live.cancel.cancel();
        Some(live.gone.clone())
    }

    /// Forgets that a listener gave up.
    pub(super) fn forget_end(&mut self, key: &SessionKey) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.ended = None;
            self.tidy(key);
        }
    }

    pub(super) fn pin(&mut self, key: &SessionKey, now: Instant) {
        let slot = self.slots.entry(key.clone()).or_insert_with(|| Slot::new(now));
        slot.pins += 1;
        slot.last_seen = now;
    }

    pub(super) fn unpin(&mut self, key: &SessionKey, now: Instant) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.pins -= 1;
            slot.last_seen = now;
            self.tidy(key);
        }
    }

    /// Tells every listener to end that nobody holds and nobody has used for so long, and forgets
    /// as old ends.
    pub(super) fn cancel_stale(&mut self, now: Instant, after: Duration) -> Vec<CancellationToken> {
        let mut going = Vec::new();
        self.slots.retain(|_, slot| {
            let stale = slot.pins == 0 && slot.last_seen() + after <= now;
            match &slot.live {
                Some(live) if stale => {
                    live.cancel.cancel();
                    going.push(live.gone.clone());
                    true
                }
                Some(_) => true,
                None => !stale,
            }
        });
        going
    }

    /// Pinned sessions whose listener gave up for a reason that may have passed, so long ago.
    pub(super) fn to_rearm(&self, now: Instant, after: Duration) -> Vec<(SessionKey, Arc<Setup>)> {
        let due = |slot: &Slot| match (&slot.live, &slot.ended) {
            (None, Some(ended)) if slot.pins > 0 => match ended.status.state {
                State::GaveUp(why) if !why.is_permanent() && ended.status.since + after <= now => {
                    Some(Arc::clone(&ended.setup))
                }
                _ => None,
            },
            _ => None,
        };
        self.slots.iter().filter_map(|(key, slot)| Some((key.clone(), due(slot)?))).collect()
    }

    /// Nothing is started from now on, and everything is told to end.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for live in self.slots.values().filter_map(|slot| slot.live.as_ref()) {
            live.cancel.cancel();
        }
    }

    pub(super) fn live(&self) -> usize {
        self.slots.values().filter(|slot| slot.live.is_some()).count()
    }

    pub(super) fn status(&self, key: &SessionKey) -> Option<Status> {
        self.slots.get(key)?.status()
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let row = |(key, slot): (&SessionKey, &Slot)| {
            Some(Row {
                key: key.clone(),
                status: slot.status()?,
                pins: slot.pins,
                last_seen: slot.last_seen(),
            })
        };
        self.slots.iter().filter_map(row).collect()
    }

    fn tidy(&mut self, key: &SessionKey) {
        if self.slots.get(key).is_some_and(Slot::is_empty) {
            self.slots.remove(key);
        }
    }
}
