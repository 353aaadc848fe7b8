//! What is said to all, and whether it is believed. The signature says which peer wrote a message; here the message
//! must name the node that peer is, be new, and not be one of too many.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use univrs_model::Timestamp;
use univrs_model::ids::NodeId;
use univrs_ports::discovery::{Admission, Message, Topic};

/// Bytes of a message at most.
pub(super) const LONGEST: usize = 64 * 1024;
/// A message older than this, or further in the future, is not believed.
pub(super) const AGE: Duration = Duration::from_secs(120);
/// Messages that one author may send at once …
const BURST: f64 = 60.0;
/// … and in a second from then on.
const PER_SECOND: f64 = 5.0;
/// Authors whose pace is remembered.
const AUTHORS: usize = 4096;

/// A message as it travels.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    author: NodeId,
    at: Timestamp,
    body: serde_json::Value,
}

/// Why a message is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// It cannot be read. Whoever passed it on should have noticed.
    #[error("the message cannot be read: {0}")]
    Malformed(String),
    /// Its signature is another peer's than its author's.
    #[error("the message says it is from {author}, and its signature is not that node's: {reason}")]
    Author {
        /// Who it says it is from.
        author: NodeId,
        /// Why that is not so.
        reason: String,
    },
    /// It is too old, or from the future.
    #[error("the message of {author} is of {at}; the clock of one of us is wrong, or it was kept back")]
    Time {
        /// Who it is from.
        author: NodeId,
        /// When, as it says.
        at: Timestamp,
    },
    /// Its author says too much.
    #[error("{author} sends more messages than are listened to")]
    Flood {
        /// Who.
        author: NodeId,
    },
}

/// A message on its way out.
pub(super) fn write(author: &NodeId, at: Timestamp, body: serde_json::Value) -> Vec<u8> {
    serde_json::to_vec(&Wire { author: author.clone(), at, body }).unwrap_or_default()
}

/// How much each author has said.
#[derive(Debug, Default)]
pub(super) struct Listener {
    /// Messages an author may still send, and as of when.
    left: BTreeMap<NodeId, (f64, Timestamp)>,
}

impl Listener {
    /// Whether to believe a message that `signer` signed.
    pub(super) fn hear(
        &mut self,
        admission: &dyn Admission,
        now: Timestamp,
        topic: Topic,
        signer: &str,
        data: &[u8],
    ) -> Result<Message, Refusal> {
        let Wire { author, at, body } =
            serde_json::from_slice(data).map_err(|error| Refusal::Malformed(error.to_string()))?;
        if let Err(reason) = admission.admit(signer, &author) {
            return Err(Refusal::Author { author, reason });
        }
        if now.duration_since(at).unsigned_abs() > AGE {
            return Err(Refusal::Time { author, at });
        }
        if !self.pace(&author, now) {
            return Err(Refusal::Flood { author });
        }
        Ok(Message { topic, author, at, body })
    }

    fn pace(&mut self, author: &NodeId, now: Timestamp) -> bool {
        if self.left.len() >= AUTHORS && !self.left.contains_key(author) {
            // Whoever has been quiet is as new.
            self.left.retain(|_, (_, since)| now.duration_since(*since).as_secs() < 60);
        }
        let (left, since) = self.left.get(author).copied().unwrap_or((BURST, now));
        let gained = now.duration_since(since).as_secs_f64().max(0.0) * PER_SECOND;
        let left = (left + gained).min(BURST) - 1.0;
        self.left.insert(author.clone(), (left.max(0.0), now));
        left >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use univrs_model::ids::NodeId;
    use univrs_ports::discovery::{Admission, Topic};

    use super::*;

    /// Peer `p-<node>` is that node.
    struct ByName;

    impl Admission for ByName {
        fn admit(&self, peer: &str, node: &NodeId) -> Result<(), String> {
            if peer == format!("p-{node}") { Ok(()) } else { Err("another key".to_owned()) }
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_message_is_believed_from_its_author_only() {
        let (one, two) = (NodeId::from_bits(1), NodeId::from_bits(2));
        let mut listener = Listener::default();
        let mut hear = |signer: &str, data: &[u8]| {
            listener.hear(&ByName, at(1000), Topic::Announce, signer, data).map(|message| message.author)
        };
        let message = write(&one, at(1000), serde_json::json!({"x": 1}));
        assert_eq!(hear(&format!("p-{one}"), &message), Ok(one.clone()));
        assert!(
            matches!(hear(&format!("p-{two}"), &message), Err(Refusal::Author { author, .. }) if author == one)
        );
        assert!(matches!(hear("stranger", &message), Err(Refusal::Author { .. })));
        assert!(matches!(hear(&format!("p-{one}"), b"{}"), Err(Refusal::Malformed(_))));
        let kept = write(&one, at(1000 - 121), serde_json::Value::Null);
        assert!(matches!(hear(&format!("p-{one}"), &kept), Err(Refusal::Time { .. })));
        let early = write(&one, at(1000 + 121), serde_json::Value::Null);
        assert!(matches!(hear(&format!("p-{one}"), &early), Err(Refusal::Time { .. })));
    }

    #[test]
    fn a_flood_silences_its_author_and_nobody_else() {
        let (one, two) = (NodeId::from_bits(1), NodeId::from_bits(2));
        let mut listener = Listener::default();
        let mut hear = |node: &NodeId, now: i64| {
            let message = write(node, at(now), serde_json::Value::Null);
            listener.hear(&ByName, at(now), Topic::Credit, &format!("p-{node}"), &message).is_ok()
        };
        let heard = (0..1000).filter(|_| hear(&one, 100)).count();
        assert_eq!(heard, 60);
        assert!(hear(&two, 100));
        assert_eq!((0..1000).filter(|_| hear(&one, 102)).count(), 10, "five in a second from then on");
    }
}
