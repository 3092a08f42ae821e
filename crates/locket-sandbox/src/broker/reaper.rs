//! Waits for the end of killed workers, which takes milliseconds that a caller who has a deadline does not have.

use std::sync::{Mutex, OnceLock, mpsc};

use super::Live;

/// Has a killed worker waited for, reaped and its shared memory wiped on another thread; here, if there can be none.
pub(super) fn see_to_the_end(live: Live) {
    static REAPER: OnceLock<Option<Mutex<mpsc::Sender<Live>>>> = OnceLock::new();
    let reaper = REAPER.get_or_init(|| {
        let (sender, killed) = mpsc::channel();
        std::thread::Builder::new()
            .name("locket-reaper".to_owned())
            .spawn(move || killed.into_iter().for_each(drop))
            .ok()
            .map(|_| Mutex::new(sender))
    });
    // A worker that cannot be sent is dropped where it is, which does the same.
    if let Some(Ok(reaper)) = reaper.as_ref().map(Mutex::lock) {
        let _ = reaper.send(live);
    }
}
