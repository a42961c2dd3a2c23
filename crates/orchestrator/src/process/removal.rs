//! The end of a sandbox: processes, control groups, folders, user, in this order.

use std::io;
use std::sync::Arc;

use super::engine::Engine;
use super::hunt::blocking;
use super::launch::Home;
use crate::driver::LifecycleId;

/// What became of a sandbox's folders.
#[derive(Debug)]
pub(crate) enum Removal {
    Done,
    /// They could not be removed, and were moved out of the way.
    SetAside(String),
    /// They, or processes, are still there.
    Left(Home, String),
}

impl Engine {
    /// Tries once to remove everything. The user goes back, and the record goes, only when no
    /// process is alive. With `last_try` folders that cannot be removed are set aside.
    pub(crate) async fn remove(
        self: &Arc<Self>,
        lifecycle: &LifecycleId,
        home: Home,
        last_try: bool,
    ) -> Removal {
        if let Err(e) = self.hunter.kill(&home.owner).await {
            return Removal::Left(home, e.to_string());
        }
        let (engine, owner) = (Arc::clone(self), Arc::clone(&home.owner));
        let (dirs, id) = (home.dirs.clone(), lifecycle.clone());
        let removed = blocking(move || {
            // What became a zombie since would keep the old hierarchies' groups busy.
            engine.hunter.spawner.nursery().pass()?;
            owner.leaf().map_or(Ok(()), super::cgroup::Leaf::remove)?;
            // A kept profile is the daemon's again; it stays.
            super::profile::shut(&dirs.profile)?;
            match dirs.remove() {
                Err(e) if last_try => {
                    engine.state.set_aside(&id)?;
                    Ok(Some(e))
                }
                Err(e) => Err(e),
                Ok(()) => Ok(None),
            }
        });
        match removed.await {
            Ok(aside) => {
                self.hunter.spawner.nursery().forget(lifecycle);
                home.owner.forget();
                aside.map_or(Removal::Done, |e: io::Error| {
                    Removal::SetAside(format!("its directory was set aside: {e}"))
                })
            }
            Err(e) => Removal::Left(home, format!("its directory could not be removed: {e}")),
        }
    }
}
