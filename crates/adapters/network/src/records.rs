//! What the node remembers about its network: who has which address and which ports. One file, replaced whole.
//!
//! An address stays with its instance until it is released; released addresses are handed out again only after
//! all fresh ones, the longest released first, so that a late packet or a cached name meets nobody.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use univrs_model::ids::InstanceId;
use univrs_ports::network::{Attachment, NetworkError, PublishedPort};

use crate::range::Range;

/// The offset of the first address for instances: 0 is the network's own, 1 is the gateway's.
const FIRST_OFFSET: u32 = 2;

/// One attached instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) address: Ipv4Addr,
    /// Whose it is; not known of what an older version attached.
    #[serde(default)]
    pub(crate) org: Option<String>,
    pub(crate) netns: PathBuf,
    pub(crate) ports: Vec<PublishedPort>,
}

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Book {
    pub(crate) range: Range,
    /// Whether this node turned on the forwarding of packets on its machine.
    pub(crate) forwarding_is_ours: bool,
    pub(crate) records: BTreeMap<InstanceId, Record>,
    /// Whose the addresses of other nodes' instances are: kept, so that a new process cuts nobody off before it is told.
    #[serde(default)]
    pub(crate) homes: BTreeMap<Ipv4Addr, String>,
    /// Instances of this node that may send nothing out of the cluster.
    #[serde(default)]
    pub(crate) spent: BTreeSet<Ipv4Addr>,
    released: VecDeque<Ipv4Addr>,
    next_fresh: u32,
}

impl Book {
    pub(crate) fn new(range: Range) -> Self {
        Self {
            range,
            forwarding_is_ours: false,
            records: BTreeMap::new(),
            homes: BTreeMap::new(),
            spent: BTreeSet::new(),
            released: VecDeque::new(),
            next_fresh: FIRST_OFFSET,
        }
    }

    /// The bridge's address.
    pub(crate) fn gateway(&self) -> Ipv4Addr {
        gateway(self.range)
    }

    /// How many instances have room.
    pub(crate) fn capacity(&self) -> u32 {
        capacity(self.range)
    }

    /// An address that no record has; it is the caller's until put into a record or [`Book::put_back`].
    pub(crate) fn take_address(&mut self) -> Result<Ipv4Addr, NetworkError> {
        if self.next_fresh < FIRST_OFFSET + self.capacity()
            && let Some(address) = self.range.nth(self.next_fresh)
        {
            self.next_fresh += 1;
            return Ok(address);
        }
        self.released.pop_front().ok_or_else(|| NetworkError::RangeExhausted {
            range: self.range.to_string(),
            size: self.capacity(),
        })
    }

    /// An address that others have too: for networks in which addresses lead nowhere.
    pub(crate) fn shared_address(&self) -> Ipv4Addr {
        let turn = u32::try_from(self.records.len()).unwrap_or(0) % self.capacity().max(1);
        self.range.nth(FIRST_OFFSET + turn).unwrap_or_else(|| self.gateway())
    }

    /// Gives an address back; it is reused last.
    pub(crate) fn put_back(&mut self, address: Ipv4Addr) {
        if self.range.contains(address) && !self.released.contains(&address) {
            self.released.push_back(address);
        }
    }

    /// Forgets an instance and gives its address back.
    pub(crate) fn remove(&mut self, instance: &InstanceId) -> Option<Record> {
        let record = self.records.remove(instance)?;
        self.put_back(record.address);
        Some(record)
    }

    /// The first of `ports` that another instance has.
    pub(crate) fn conflict(
        &self,
        instance: &InstanceId,
        ports: &[PublishedPort],
    ) -> Option<(u16, InstanceId)> {
        self.records.iter().filter(|(holder, _)| *holder != instance).find_map(|(holder, record)| {
            let taken = |port: &&PublishedPort| record.ports.iter().any(|other| same_host_port(port, other));
            ports.iter().find(taken).map(|port| (port.host_port, holder.clone()))
        })
    }

    /// What the instance was given, as the port tells it.
    pub(crate) fn attachment(&self, instance: &InstanceId) -> Option<Attachment> {
        self.records.get(instance).map(|record| Attachment {
            instance: instance.clone(),
            address: record.address,
            prefix_len: self.range.prefix(),
            gateway: self.gateway(),
            ports: record.ports.clone(),
        })
    }

    pub(crate) fn attachments(&self) -> Vec<Attachment> {
        self.records.keys().filter_map(|instance| self.attachment(instance)).collect()
    }
}

/// The bridge's address in a range: the first that is not the network's own.
pub(crate) fn gateway(range: Range) -> Ipv4Addr {
    range.nth(1).unwrap_or_else(|| range.base())
}

/// How many instances a range has room for: all addresses but the network's, the gateway's and the broadcast.
pub(crate) fn capacity(range: Range) -> u32 {
    (u32::from(range.last()) - u32::from(range.base()) + u32::from(range.prefix() != 0)).saturating_sub(3)
}

fn same_host_port(one: &PublishedPort, other: &PublishedPort) -> bool {
    one.host_port == other.host_port && one.protocol == other.protocol
}

/// Where the book is kept.
#[derive(Clone, Debug)]
pub(crate) struct BookFile {
    path: PathBuf,
}

impl BookFile {
    pub(crate) fn in_dir(dir: &Path) -> Self {
        Self { path: dir.join("network.json") }
    }

    fn fails(&self, doing: &'static str) -> impl FnOnce(io::Error) -> NetworkError {
        let path = self.path.clone();
        move |source| NetworkError::Records { path, doing, source }
    }

    /// The book, if one was ever saved.
    pub(crate) fn load(&self) -> Result<Option<Book>, NetworkError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.fails("reading")(error)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| self.fails("reading")(error.into()))
    }

    /// Replaces the file; after a crash either the old or the new content is there.
    pub(crate) fn save(&self, book: &Book) -> Result<(), NetworkError> {
        let write = || {
            let bytes = serde_json::to_vec_pretty(book)?;
            let (dir, draft) = (self.path.parent().unwrap_or(Path::new(".")), self.draft());
            fs::create_dir_all(dir)?;
            let mut file = File::create(&draft)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &self.path)?;
            File::open(dir)?.sync_all()
        };
        write().map_err(self.fails("writing"))
    }

    /// Removes the file, and its folder if that leaves it empty.
    pub(crate) fn delete(&self) -> Result<(), NetworkError> {
        for path in [&self.draft(), &self.path] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.fails("removing")(error));
                }
                _ => {}
            }
        }
        if let Some(dir) = self.path.parent() {
            // A folder that others use stays, and so does one that is already gone.
            let _ = fs::remove_dir(dir);
        }
        Ok(())
    }

    fn draft(&self) -> PathBuf {
        self.path.with_extension("json.part")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use univrs_model::ids::InstanceId;
    use univrs_model::workload::Protocol;
    use univrs_ports::network::PublishedPort;

    use super::{Book, BookFile, Record};

    fn port(host_port: u16, protocol: Protocol) -> PublishedPort {
        PublishedPort { host_port, container_port: 80, protocol }
    }

    #[test]
    fn addresses_are_distinct_then_reused_last_released_last() {
        let mut book = Book::new("10.0.0.0/29".parse().unwrap());
        let taken: Vec<_> = (0..5).map(|_| book.take_address().unwrap()).collect();
        assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), 5);
        assert_eq!(taken[0].to_string(), "10.0.0.2");
        assert_eq!(taken[4].to_string(), "10.0.0.6");
        assert!(book.take_address().unwrap_err().to_string().contains("all 5 addresses"));
        book.put_back(taken[3]);
        book.put_back(taken[1]);
        assert_eq!(book.take_address().unwrap(), taken[3]);
        assert_eq!(book.take_address().unwrap(), taken[1]);
    }

    #[test]
    fn a_released_address_rests_while_fresh_ones_remain() {
        let mut book = Book::new("10.0.0.0/24".parse().unwrap());
        let first = book.take_address().unwrap();
        book.put_back(first);
        assert!((0..252).all(|_| book.take_address().unwrap() != first));
        assert_eq!(book.take_address().unwrap(), first);
    }

    #[test]
    fn ports_conflict_per_protocol_and_only_with_others() {
        let mut book = Book::new("10.0.0.0/24".parse().unwrap());
        let (one, two) = (InstanceId::from_bits(1), InstanceId::from_bits(2));
        let address = book.take_address().unwrap();
        let record = Record { address, org: None, netns: "/x".into(), ports: vec![port(80, Protocol::Tcp)] };
        book.records.insert(one.clone(), record);
        assert_eq!(book.conflict(&two, &[port(80, Protocol::Udp)]), None);
        assert_eq!(book.conflict(&one, &[port(80, Protocol::Tcp)]), None);
        let wanted = [port(81, Protocol::Tcp), port(80, Protocol::Tcp)];
        assert_eq!(book.conflict(&two, &wanted), Some((80, one)));
    }

    #[test]
    fn the_file_keeps_everything_and_deletion_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("net");
        let file = BookFile::in_dir(&folder);
        assert_eq!(file.load().unwrap(), None);
        let mut book = Book::new("10.0.0.0/24".parse().unwrap());
        let address = book.take_address().unwrap();
        book.records.insert(
            InstanceId::from_bits(9),
            Record { address, org: None, netns: "/n".into(), ports: vec![] },
        );
        file.save(&book).unwrap();
        assert_eq!(file.load().unwrap(), Some(book));
        file.delete().unwrap();
        file.delete().unwrap();
        assert!(!folder.exists());
    }

    #[test]
    fn a_damaged_file_is_an_error_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("network.json"), "{").unwrap();
        let error = BookFile::in_dir(dir.path()).load().unwrap_err();
        assert!(error.to_string().contains("network.json"));
    }
}
