//! What a node keeps on its machine for the daemon that is started next ([`Keepsake`]), beside its containers' own records:
//!
//! ```text
//! <run>/heard          when the control plane was last heard: milliseconds of uptime, eight bytes
//! <run>/limits.json    what may not run alone, and of which run of the machine both files are
//! ```
//!
//! The directory is in memory as a rule, so that neither costs a disk anything. The time changes every second and is
//! written into mapped memory, without a call.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use univrs_ports::keepsake::{Keepsake, Limit};

use crate::record;
use crate::sys::{self, SharedNumber};

const HEARD: &str = "heard";
const LIMITS: &str = "limits.json";
/// Nothing was heard in this run of the machine; nothing ever is in its first millisecond.
const NEVER: u64 = 0;

#[derive(Serialize, Deserialize)]
struct Kept {
    boot: String,
    limits: Vec<Limit>,
}

/// The keepsake of a node whose containers outlive its daemon.
#[derive(Debug)]
pub struct OfMachine {
    path: PathBuf,
    heard: SharedNumber,
    limits: Mutex<Vec<Limit>>,
}

impl OfMachine {
    /// Opens what is kept in `run_dir`, or begins it. What an earlier run of the machine left is not looked at.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn open(run_dir: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(run_dir)?;
        let path = run_dir.join(LIMITS);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(run_dir.join(HEARD))?;
        let heard = SharedNumber::map(&file)?;
        let kept = record::read::<Kept>(&path).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "what may not run alone cannot be read; it is noted anew");
            None
        });
        let limits = match kept {
            Some(kept) if kept.boot == record::boot() => kept.limits,
            Some(_) | None => {
                heard.number().store(NEVER, Ordering::Relaxed);
                record::write(&path, &Kept { boot: record::boot(), limits: Vec::new() })?;
                Vec::new()
            }
        };
        Ok(Self { path, heard, limits: Mutex::new(limits) })
    }
}

impl Keepsake for OfMachine {
    fn uptime(&self) -> Duration {
        sys::uptime()
    }

    fn heard(&self) -> Option<Duration> {
        let millis = self.heard.number().load(Ordering::Relaxed);
        (millis != NEVER).then(|| Duration::from_millis(millis))
    }

    fn hear(&self, at: Duration) {
        let millis = u64::try_from(at.as_millis()).unwrap_or(NEVER);
        self.heard.number().store(millis, Ordering::Relaxed);
    }

    fn limits(&self) -> Vec<Limit> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, limits: &[Limit]) -> io::Result<()> {
        let mut kept = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        record::write(&self.path, &Kept { boot: record::boot(), limits: limits.to_vec() })?;
        *kept = limits.to_vec();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use univrs_model::span::Span;
    use univrs_ports::keepsake::{Keepsake as _, Limit};

    use super::OfMachine;

    fn limit() -> Limit {
        let graces = [("app".parse().unwrap(), Span::seconds(10))].into();
        Limit { instance: univrs_model::ids::InstanceId::from_bits(7), stop_after: Span::seconds(3), graces }
    }

    #[test]
    fn the_next_process_finds_what_was_kept() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let first = OfMachine::open(&run).unwrap();
        assert_eq!((first.heard(), first.limits()), (None, Vec::new()));
        first.hear(Duration::from_millis(1234));
        first.keep(&[limit()]).unwrap();
        // A killed process drops nothing.
        std::mem::forget(first);
        let next = OfMachine::open(&run).unwrap();
        assert_eq!(next.heard(), Some(Duration::from_millis(1234)));
        assert_eq!(next.limits(), [limit()]);
        next.hear(Duration::from_millis(2345));
        assert_eq!(OfMachine::open(&run).unwrap().heard(), Some(Duration::from_millis(2345)));
    }

    #[test]
    fn nothing_outlives_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let before = OfMachine::open(dir.path()).unwrap();
        before.hear(Duration::from_secs(5));
        before.keep(&[limit()]).unwrap();
        let path = dir.path().join(super::LIMITS);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace(&crate::record::boot(), "of another time")).unwrap();
        let after = OfMachine::open(dir.path()).unwrap();
        assert_eq!((after.heard(), after.limits()), (None, Vec::new()));
    }

    #[test]
    fn what_is_damaged_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(super::LIMITS), "{").unwrap();
        std::fs::write(dir.path().join(super::HEARD), "x").unwrap();
        let kept = OfMachine::open(dir.path()).unwrap();
        assert_eq!((kept.heard(), kept.limits()), (None, Vec::new()));
        kept.hear(kept.uptime());
        assert!(kept.heard().unwrap() <= kept.uptime());
    }

    #[test]
    fn uptime_is_that_of_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let kept = OfMachine::open(dir.path()).unwrap();
        let told = std::fs::read_to_string("/proc/uptime").unwrap();
        let told: f64 = told.split_whitespace().next().unwrap().parse().unwrap();
        assert!((kept.uptime().as_secs_f64() - told).abs() < 60.0, "{told}");
    }
}
