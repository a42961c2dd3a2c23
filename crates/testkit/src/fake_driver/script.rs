//! What a test can make of each await point.

use std::sync::Arc;
use std::time::Duration;

use orchestrator::driver::LifecycleId;
use tokio::sync::watch;
use upstream::Cause;

/// An await point of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// In `start`: the directory exists, no browser yet.
    StartPrepared,
    /// In `start`: the browser runs and does not answer yet.
    StartSpawned,
    /// In `start`: ready was reported, the call has not returned.
    StartReady,
    /// Whether `start` obeys its cancel: [`Act::Hang`] here means that it does not.
    Cancel,
    /// In `probe`: nothing has been asked.
    Probe,
    /// In `restart_browser`: the old browser is dead; the switches are the new ones. A failure
    /// brings the old ones back.
    Restart,
    /// In `stop`: nothing has been done.
    StopBegin,
    /// In `stop`: the browser is dead, its directory still exists.
    StopCleanup,
    /// In `room`.
    Room,
    /// In `close_clean`: nothing has been done; a failure here means that it had to be killed.
    CloseBegin,
    /// In `close_clean`: the browser is closed.
    CloseEnd,
    /// In `save`: nothing has been done.
    SaveBegin,
    /// In `save`: the profile is kept, and not durable yet.
    SaveEnd,
    /// In `export`: nothing has been written. The lifecycle has the profile's name, here and below.
    ExportBegin,
    /// In `export`: everything has been written.
    ExportEnd,
    /// In `import`: nothing has been read.
    Import,
    /// In `forget`; the lifecycle has the profile's name.
    Forget,
}

impl Point {
    /// The points of a start, in their order.
    pub const START: [Self; 3] = [Self::StartPrepared, Self::StartSpawned, Self::StartReady];

    /// The points of a pause once nothing refuses it any more, in their order.
    pub const SAVE: [Self; 4] = [Self::CloseBegin, Self::CloseEnd, Self::SaveBegin, Self::SaveEnd];

    /// The points of a checkpoint until its snapshot is durable, in their order.
    pub const CHECKPOINT: [Self; 6] = [
        Self::CloseBegin,
        Self::CloseEnd,
        Self::SaveBegin,
        Self::SaveEnd,
        Self::ExportBegin,
        Self::ExportEnd,
    ];
}

/// Where the driver is, for a script to decide.
#[derive(Debug)]
pub struct At<'a> {
    /// The point.
    pub point: Point,
    /// Which instance.
    pub lifecycle: &'a LifecycleId,
    /// Its launch switches: a test can mark sandboxes with them.
    pub flags: &'a [String],
}

impl At<'_> {
    /// Whether the instance was launched with this switch.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|one| one == flag)
    }
}

/// What happens at a point.
#[derive(Debug, Clone)]
pub enum Act {
    /// It goes on.
    Go,
    /// It waits until the test lets it go.
    Hold(Hold),
    /// It takes this long.
    Wait(Duration),
    /// It never goes on.
    Hang,
    /// It fails with this text.
    Fail(String),
    /// It panics.
    Panic,
    /// The browser ends there, and it goes on.
    EndBrowser(Cause),
}

/// Holds calls until the test lets them go.
#[derive(Debug, Clone)]
pub struct Hold {
    waiting: Arc<watch::Sender<usize>>,
    open: Arc<watch::Sender<bool>>,
}

impl Default for Hold {
    fn default() -> Self {
        Self::new()
    }
}

impl Hold {
    /// Nobody waits, and who comes has to.
    pub fn new() -> Self {
        Self { waiting: Arc::new(watch::Sender::new(0)), open: Arc::new(watch::Sender::new(false)) }
    }

    /// Waits until `count` calls have come here.
    ///
    /// # Panics
    /// After 60 s of tokio's clock.
    pub async fn reached(&self, count: usize) {
        let mut waiting = self.waiting.subscribe();
        let all = waiting.wait_for(|come| *come >= count);
        let in_time = tokio::time::timeout(Duration::from_secs(60), all).await;
        assert!(in_time.is_ok(), "{} of {count} calls have come", *self.waiting.borrow());
    }

    /// Lets all go, also those that come later.
    pub fn release(&self) {
        self.open.send_replace(true);
    }

    pub(super) async fn wait(&self) {
        self.waiting.send_modify(|come| *come += 1);
        // The sender lives in `self`.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}
