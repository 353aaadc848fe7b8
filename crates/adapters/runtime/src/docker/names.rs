//! Names and labels: how what this node made is told from everything else in the engine.
//!
//! | what | name |
//! |---|---|
//! | the sandbox of an instance | `univrs.<node>.<instance>` |
//! | one attempt of a container | `univrs.<node>.<instance>.<container>.<attempt>` |
//! | a copy of an image | `univrs.internal/<node>:<hex digits of its digest>` |
//!
//! Labels travel with images, so a label alone proves nothing: a container is ours when its name is the one that
//! follows from its labels.

use std::collections::HashMap;

use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::name::Name;
use univrs_ports::runtime::ContainerId;

pub(super) const NODE: &str = "dev.univrs.node";
pub(super) const INSTANCE: &str = "dev.univrs.instance";
const CONTAINER: &str = "dev.univrs.container";
const ATTEMPT: &str = "dev.univrs.attempt";
const IMAGE: &str = "dev.univrs.image";

/// The tag of the image that sandboxes are made of; another one whenever the program changes.
const PAUSE_TAG: &str = "pause-1";

/// Names things for one node.
#[derive(Clone, Debug)]
pub(super) struct Names {
    node: NodeId,
}

/// What a container of this node is, by its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Holds the network namespace of an instance.
    Sandbox(InstanceId),
    /// Runs something.
    Attempt {
        /// Which container.
        id: ContainerId,
        /// Of which start.
        attempt: u32,
        /// Digest of its image in our own store.
        image: String,
    },
}

impl Kind {
    /// Whose it is.
    pub(super) fn instance(&self) -> &InstanceId {
        match self {
            Self::Sandbox(instance) => instance,
            Self::Attempt { id, .. } => &id.instance,
        }
    }
}

impl Names {
    pub(super) fn new(node: NodeId) -> Self {
        Self { node }
    }

    pub(super) fn node(&self) -> &NodeId {
        &self.node
    }

    pub(super) fn sandbox(&self, instance: &InstanceId) -> String {
        format!("univrs.{}.{instance}", self.node)
    }

    pub(super) fn attempt(&self, id: &ContainerId, attempt: u32) -> String {
        format!("univrs.{}.{id}.{attempt}", self.node)
    }

    /// Where copies of images lie in the engine. The first part looks like a registry, so that nobody asks a real
    /// one for them.
    pub(super) fn repository(&self) -> String {
        format!("univrs.internal/{}", self.node)
    }

    /// The tag of the copy of an image with this digest.
    pub(super) fn image_tag(digest: &str) -> &str {
        digest.strip_prefix("sha256:").unwrap_or(digest)
    }

    /// The digest of the image that a tag in our repository stands for; `None` for the sandboxes' own.
    pub(super) fn tagged_digest(&self, reference: &str) -> Option<String> {
        let tag = reference.strip_prefix(&self.repository())?.strip_prefix(':')?;
        (tag != PAUSE_TAG).then(|| format!("sha256:{tag}"))
    }

    pub(super) fn image(&self, digest: &str) -> String {
        format!("{}:{}", self.repository(), Self::image_tag(digest))
    }

    pub(super) fn pause_image(&self) -> String {
        format!("{}:{PAUSE_TAG}", self.repository())
    }

    pub(super) fn sandbox_labels(&self, instance: &InstanceId) -> HashMap<String, String> {
        [(NODE, self.node.as_str()), (INSTANCE, instance.as_str())]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    pub(super) fn attempt_labels(
        &self,
        id: &ContainerId,
        attempt: u32,
        digest: &str,
    ) -> HashMap<String, String> {
        let mut labels = self.sandbox_labels(&id.instance);
        labels.extend([
            (CONTAINER.to_owned(), id.container.to_string()),
            (ATTEMPT.to_owned(), attempt.to_string()),
            (IMAGE.to_owned(), digest.to_owned()),
        ]);
        labels
    }

    /// What a container of this name and with these labels is to us; `None` when it is not ours.
    pub(super) fn recognise(&self, name: &str, labels: &HashMap<String, String>) -> Option<Kind> {
        let label = |key: &str| labels.get(key).map(String::as_str);
        if label(NODE)? != self.node.as_str() {
            return None;
        }
        let instance: InstanceId = label(INSTANCE)?.parse().ok()?;
        let (kind, expected) = match label(CONTAINER) {
            None => {
                let expected = self.sandbox(&instance);
                (Kind::Sandbox(instance), expected)
            }
            Some(container) => {
                let id = ContainerId { instance, container: container.parse::<Name>().ok()? };
                let attempt = label(ATTEMPT)?.parse().ok()?;
                let expected = self.attempt(&id, attempt);
                (Kind::Attempt { id, attempt, image: label(IMAGE)?.to_owned() }, expected)
            }
        };
        (name.trim_start_matches('/') == expected).then_some(kind)
    }
}

#[cfg(test)]
mod tests {
    use univrs_model::ids::{InstanceId, NodeId};
    use univrs_ports::runtime::ContainerId;

    use super::{Kind, NODE, Names};

    fn names() -> Names {
        Names::new(NodeId::from_bits(1))
    }

    fn id() -> ContainerId {
        ContainerId { instance: InstanceId::from_bits(2), container: "app".parse().unwrap() }
    }

    #[test]
    fn what_is_named_here_is_recognised() {
        let (names, id) = (names(), id());
        let found = names
            .recognise(&format!("/{}", names.attempt(&id, 3)), &names.attempt_labels(&id, 3, "sha256:ab"));
        assert_eq!(found, Some(Kind::Attempt { id: id.clone(), attempt: 3, image: "sha256:ab".to_owned() }));
        let found = names.recognise(&names.sandbox(&id.instance), &names.sandbox_labels(&id.instance));
        assert_eq!(found, Some(Kind::Sandbox(id.instance)));
    }

    #[test]
    fn what_only_wears_our_labels_is_not_ours() {
        let (names, id) = (names(), id());
        let labels = names.attempt_labels(&id, 0, "sha256:ab");
        assert_eq!(names.recognise("/someone-elses", &labels), None);
        assert_eq!(names.recognise(&names.attempt(&id, 1), &labels), None);
        let other = Names::new(NodeId::from_bits(9));
        assert_eq!(other.recognise(&names.attempt(&id, 0), &labels), None);
        let mut without = labels;
        without.remove(NODE);
        assert_eq!(names.recognise(&names.attempt(&id, 0), &without), None);
    }

    #[test]
    fn tags_lead_back_to_digests() {
        let names = names();
        let digest = format!("sha256:{}", "5".repeat(64));
        assert_eq!(names.tagged_digest(&names.image(&digest)), Some(digest));
        assert_eq!(names.tagged_digest(&names.pause_image()), None);
        assert_eq!(names.tagged_digest("web:1"), None);
    }
}
