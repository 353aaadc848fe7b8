//! Keeps the image store from filling the disk: what nobody needs goes when it is old, or when room is short.
//!
//! Never goes what a container here was made of, what a workload or one of its kept versions names, or the image of
//! the program itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use univrs_model::Timestamp;
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::ids::NodeId;
use univrs_model::name::Name;
use univrs_ports::clock::Clock;
use univrs_ports::control_plane::ControlPlane;
use univrs_ports::images::{DiskSpace, ImageSummary, SELF_TAG};

use crate::agent::Machine;
use crate::reporter::Reporter;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(600);
/// Above this share of the disk, in percent, what is not needed goes although it is young…
const FULL: u64 = 85;
/// …until this share is expected.
const EASED: u64 = 75;
/// What has been here so long without being needed goes in any case.
const OLD: SignedDuration = SignedDuration::from_hours(30 * 24);
/// What came so recently is about to be used.
const FRESH: SignedDuration = SignedDuration::from_mins(10);

/// What one look has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// References.
    pub images: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// Told of each collection that removed anything.
pub type OnCollected = Arc<dyn Fn(Collected) + Send + Sync>;

/// What a look needs.
pub(crate) struct ImageKeeper {
    pub(crate) node: NodeId,
    pub(crate) machine: Machine,
    pub(crate) control: Arc<dyn ControlPlane>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) reporter: Reporter,
    pub(crate) told: OnCollected,
}

impl ImageKeeper {
    /// Looks again and again, for as long as it is polled.
    pub(crate) async fn run(self) {
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + INTERVAL, INTERVAL);
        loop {
            tick.tick().await;
            match self.look().await {
                Ok(collected) if collected == Collected::default() => {}
                Ok(collected) => self.tell(collected),
                Err(reason) => tracing::warn!(reason, "images that nobody needs could not be removed"),
            }
        }
    }

    async fn look(&self) -> Result<Collected, String> {
        let images = &self.machine.images;
        let here = images.list().await.map_err(|error| error.to_string())?;
        let containers = self.machine.runtime.list().await.map_err(|error| error.to_string())?.containers;
        let in_use: Vec<String> = containers.into_iter().map(|container| container.image_digest).collect();
        // Asked for last, so that little can come to need what was listed.
        let named = self.control.images_named().await.map_err(|error| error.to_string())?;
        let needed = Needed {
            references: named.iter().map(|reference| images.listed_as(reference)).collect(),
            digests: in_use.iter().cloned().collect(),
        };
        let mut collected = Collected::default();
        for reference in choose(here, &needed, images.space().await, self.clock.now()) {
            tracing::info!(reference, "removing an image that nobody needs");
            images.remove(&reference).await.map_err(|error| error.to_string())?;
            collected.images += 1;
        }
        collected.bytes = images.collect_garbage(&in_use).await.map_err(|error| error.to_string())?;
        Ok(collected)
    }

    fn tell(&self, collected: Collected) {
        (self.told)(collected);
        let message = format!(
            "{} images that nobody needs were removed, {} bytes are free again",
            collected.images, collected.bytes
        );
        let event = Event {
            at: self.clock.now(),
            kind: EventKind::ImagesCollected,
            severity: Severity::Info,
            workload: None,
            instance: None,
            node: Some(self.node.clone()),
            message,
        };
        self.reporter.happened(Name::default_org(), event);
    }
}

/// What must stay.
struct Needed {
    /// As the image store lists them.
    references: BTreeSet<String>,
    digests: BTreeSet<String>,
}

/// The references that go, oldest first. Pure.
fn choose(
    mut images: Vec<ImageSummary>,
    needed: &Needed,
    space: Option<DiskSpace>,
    now: Timestamp,
) -> Vec<String> {
    let percent = |share: u64, space: &DiskSpace| space.total / 100 * share;
    // How much has to go for the disk to be eased, if it is full.
    let mut excess = space.map_or(0, |space| {
        let used = space.total.saturating_sub(space.available);
        if used > percent(FULL, &space) { used - percent(EASED, &space) } else { 0 }
    });
    images.retain(|image| {
        let is_needed = needed.references.contains(&image.reference)
            || needed.digests.contains(&image.digest)
            || image.reference == SELF_TAG;
        !is_needed && now.duration_since(image.created_at) >= FRESH
    });
    images.sort_by(|a, b| (a.created_at, &a.reference).cmp(&(b.created_at, &b.reference)));
    let mut chosen = Vec::new();
    for image in images {
        if excess > 0 || now.duration_since(image.created_at) >= OLD {
            excess = excess.saturating_sub(image.size);
            chosen.push(image.reference);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use univrs_model::Timestamp;
    use univrs_ports::images::{DiskSpace, ImageSummary, SELF_TAG};

    use super::{Needed, choose};

    fn now() -> Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    fn image(reference: &str, hours: i64, size: u64) -> ImageSummary {
        ImageSummary {
            reference: reference.to_owned(),
            digest: format!("sha256:{reference}"),
            size,
            created_at: now() - SignedDuration::from_hours(hours),
        }
    }

    fn here() -> Vec<ImageSummary> {
        vec![
            image("young:1", 1, 10),
            image("middle:1", 48, 10),
            image("old:1", 31 * 24, 10),
            image("older:1", 40 * 24, 10),
            image("named:1", 99 * 24, 10),
            image("running:1", 99 * 24, 10),
            image(SELF_TAG, 99 * 24, 10),
            image("arriving:1", 0, 10),
        ]
    }

    fn chosen(space: Option<(u64, u64)>) -> Vec<String> {
        let needed = Needed {
            references: ["named:1".to_owned()].into(),
            digests: ["sha256:running:1".to_owned()].into(),
        };
        choose(here(), &needed, space.map(|(total, available)| DiskSpace { total, available }), now())
    }

    #[test]
    fn with_room_only_the_old_goes() {
        assert_eq!(chosen(None), ["older:1", "old:1"]);
        assert_eq!(chosen(Some((1000, 900))), ["older:1", "old:1"]);
    }

    #[test]
    fn when_room_is_short_as_much_goes_as_is_needed() {
        assert_eq!(chosen(Some((200, 20))), ["older:1", "old:1", "middle:1"], "30 have to go");
        assert_eq!(chosen(Some((200, 0))), ["older:1", "old:1", "middle:1", "young:1"]);
    }

    #[test]
    fn a_clock_that_went_back_removes_nothing() {
        let needed = Needed { references: [].into(), digests: [].into() };
        let before = now() - SignedDuration::from_hours(2000 * 24);
        assert!(choose(here(), &needed, None, before).is_empty());
    }
}
