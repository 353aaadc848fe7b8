//! One channel for several domains: the name of the domain stands before a message. Messages of a cluster that is one
//! domain have none.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::JoinHandle;

use super::channel::Channel;

/// What a message of a named domain begins with; chitchat's own begin with the number of its protocol.
const MARK: &[u8] = b"uvd1";
/// Messages that wait for one domain.
const INBOX: usize = 1024;

type Inboxes = Arc<Mutex<HashMap<String, mpsc::Sender<(SocketAddr, Bytes)>>>>;

/// Hands out what arrives. Dropping it ends all of its lines.
pub(super) struct Exchange {
    channel: Arc<dyn Channel>,
    inboxes: Inboxes,
    task: JoinHandle<()>,
}

impl Exchange {
    pub(super) fn new(channel: Arc<dyn Channel>) -> Self {
        let inboxes = Inboxes::default();
        let task = tokio::spawn(hand_out(Arc::clone(&channel), Arc::clone(&inboxes)));
        Self { channel, inboxes, task }
    }

    /// The line of one domain; an earlier one of the same name hears nothing more.
    pub(super) fn line(&self, domain: &str) -> Arc<dyn Channel> {
        let (inbox, messages) = mpsc::channel(INBOX);
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner).insert(domain.to_owned(), inbox);
        let channel = Arc::clone(&self.channel);
        Arc::new(Line { channel, mark: mark(domain), messages: AsyncMutex::new(messages) })
    }

    /// Nobody listens to this domain any more.
    pub(super) fn close(&self, domain: &str) {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner).remove(domain);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn hand_out(channel: Arc<dyn Channel>, inboxes: Inboxes) {
    while let Some((from, message)) = channel.recv().await {
        let Some((domain, message)) = split(&message) else { continue };
        let inboxes = inboxes.lock().unwrap_or_else(PoisonError::into_inner);
        // Of a domain that this node is not in, or one that does not keep up: gossip lives with losses.
        let _ = inboxes.get(&domain).map(|inbox| inbox.try_send((from, message)));
    }
}

fn mark(domain: &str) -> Bytes {
    if domain.is_empty() {
        return Bytes::new();
    }
    let name = &domain.as_bytes()[..domain.len().min(usize::from(u8::MAX) - MARK.len() - 1)];
    let mut mark = BytesMut::from(MARK);
    // Names of domains are names of regions, which are far shorter.
    mark.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
    mark.put_slice(name);
    mark.freeze()
}

/// The domain of a message, and the message; nothing when it is cut off.
fn split(message: &Bytes) -> Option<(String, Bytes)> {
    if !message.starts_with(MARK) {
        return Some((String::new(), message.clone()));
    }
    let length = usize::from(*message.get(MARK.len())?);
    let begin = MARK.len() + 1;
    let name = message.get(begin..begin + length)?;
    Some((String::from_utf8(name.to_vec()).ok()?, message.slice(begin + length..)))
}

struct Line {
    channel: Arc<dyn Channel>,
    mark: Bytes,
    messages: AsyncMutex<mpsc::Receiver<(SocketAddr, Bytes)>>,
}

#[async_trait]
impl Channel for Line {
    fn send(&self, to: SocketAddr, message: Bytes) {
        if self.mark.is_empty() {
            return self.channel.send(to, message);
        }
        let mut marked = BytesMut::with_capacity(self.mark.len() + message.len());
        marked.put_slice(&self.mark);
        marked.put_slice(&message);
        self.channel.send(to, marked.freeze());
    }

    async fn recv(&self) -> Option<(SocketAddr, Bytes)> {
        self.messages.lock().await.recv().await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{mark, split};

    #[test]
    fn a_name_comes_off_as_it_was_put_on() {
        for domain in ["", "global", "us-east-1/3"] {
            let whole = Bytes::from([&mark(domain)[..], &[1, 2, 3]].concat());
            assert_eq!(split(&whole), Some((domain.to_owned(), Bytes::from_static(&[1, 2, 3]))));
        }
        assert_eq!(split(&Bytes::from_static(b"uvd1")), None);
        assert_eq!(split(&Bytes::from_static(b"uvd1\x09abc")), None);
    }
}
