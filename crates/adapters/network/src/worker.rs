//! The one thread that changes a node's network. It stays in the network namespace where it was started, does
//! one thing at a time, and finishes what it began even when the caller no longer waits.
//!
//! Records are written before the kernel is changed and after it is changed back, so after a crash the kernel
//! never holds more than the records say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use univrs_model::ids::InstanceId;
use univrs_ports::network::{AttachRequest, Attachment, NetworkError, Traffic};

use crate::docker_rules;
use crate::generation;
use crate::inside::{configure, open_netns};
use crate::links::{Inner, Links, failed};
use crate::machine;
use crate::names::{Names, host_end};
use crate::nft::{Nft, legacy_tables};
use crate::node::NetworkOptions;
use crate::range::Range;
use crate::records::{Book, BookFile, Record};
use crate::rules::Rules;

pub(crate) type Answer<T> = oneshot::Sender<Result<T, NetworkError>>;

/// Rules on their way into the kernel.
type Writing = std::thread::JoinHandle<Result<Rules, NetworkError>>;

/// What the worker is asked.
pub(crate) enum Command {
    Attach(AttachRequest, Answer<Attachment>),
    Detach(InstanceId, Answer<()>),
    Attached(Answer<Vec<Attachment>>),
    Separate(BTreeMap<Ipv4Addr, String>, Answer<()>),
    Restrain(BTreeSet<Ipv4Addr>, Answer<()>),
    Traffic(Answer<BTreeMap<InstanceId, Traffic>>),
    Purge(Answer<()>),
}

/// The node's network as the worker sees it.
pub(crate) struct Worker {
    names: Names,
    cluster: Range,
    mtu: Option<u32>,
    links: Links,
    nft: Nft,
    file: BookFile,
    book: Book,
    /// What the kernel's tables were last made to say; absent when that is not known.
    written: Option<Rules>,
    /// Whether the kernel can keep organisations apart.
    separates: bool,
    /// The generation of the kernel's rules when all that others may remove was last seen to be there.
    whole_at: Option<u32>,
    /// Nothing is there and nothing is missed.
    purged: bool,
    check_every: Duration,
}

impl Worker {
    /// Brings kernel and records into agreement: what a start after a reboot needs, and harmless at any other.
    pub(crate) async fn open(options: &NetworkOptions, links: Links) -> Result<Self, NetworkError> {
        machine::require_privileges()?;
        let (nft, names) = (Nft::find()?, Names::of(&options.node));
        let mut except = vec![names.bridge.as_str()];
        except.extend(options.may_overlap.iter().map(String::as_str));
        if let Some((interface, address)) = links.overlap(options.range, &except).await? {
            return Err(NetworkError::RangeInUse { range: options.range.to_string(), interface, address });
        }
        let file = BookFile::in_dir(&options.state_dir);
        let mut book = file.load()?.unwrap_or_else(|| Book::new(options.range));
        if book.range != options.range {
            tracing::warn!(old = %book.range, new = %options.range, "the range changed; instances are detached");
            let ours = book.forwarding_is_ours;
            book = Book::new(options.range);
            book.forwarding_is_ours = ours;
        }
        let (cluster, mtu, check_every) = (options.cluster, options.mtu, options.check_every);
        let separates = nft.can_separate(&names.table);
        if !separates {
            tracing::warn!(
                "this kernel cannot look into bridges: organisations reach each other's instances"
            );
        }
        let (written, whole_at, purged) = (None, None, false);
        #[rustfmt::skip]
        let mut worker = Self {
            names, cluster, mtu, links, nft, file, book, written, separates, whole_at, purged, check_every,
        };
        worker.begin().await?;
        Ok(worker)
    }

    /// Obeys until nobody can ask any more, and now and then repairs what others have removed.
    pub(crate) async fn serve(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut checks = interval_at(Instant::now() + self.check_every, self.check_every);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let command = tokio::select! {
                command = commands.recv() => command,
                _ = checks.tick() => {
                    if let Err(error) = self.repair().await {
                        tracing::warn!(%error, "could not repair the node's network");
                    }
                    continue;
                }
            };
            let Some(command) = command else { return };
            // An answer that nobody waits for is no reason to stop.
            match command {
                Command::Attach(request, answer) => drop(answer.send(self.attach(&request).await)),
                Command::Detach(instance, answer) => drop(answer.send(self.detach(&instance).await)),
                Command::Attached(answer) => drop(answer.send(Ok(self.book.attachments()))),
                Command::Separate(homes, answer) => drop(answer.send(self.separate(homes))),
                Command::Restrain(spent, answer) => drop(answer.send(self.restrain(spent))),
                Command::Traffic(answer) => drop(answer.send(self.traffic())),
                Command::Purge(answer) => drop(answer.send(self.purge().await)),
            }
        }
    }

    /// Drops the records of instances that did not survive, and sets up the rest.
    async fn begin(&mut self) -> Result<(), NetworkError> {
        let gone: Vec<InstanceId> = (self.book.records.iter())
            .filter(|(_, record)| open_netns(&record.netns).is_none())
            .map(|(instance, _)| instance.clone())
            .collect();
        for instance in &gone {
            tracing::info!(%instance, "dropped the network record: its namespace is gone");
            self.book.remove(instance);
        }
        self.settle().await
    }

    async fn settle(&mut self) -> Result<(), NetworkError> {
        if machine::ensure_forwarding()? {
            tracing::info!("turned on ip_forward");
            self.book.forwarding_is_ours = true;
        }
        self.file.save(&self.book)?;
        let bridge = self.ensure_bridge().await?;
        self.remove_strays(bridge).await?;
        for instance in self.book.records.keys().cloned().collect::<Vec<_>>() {
            if let Err(error) = self.ensure_link(&instance, bridge).await {
                tracing::warn!(%instance, %error, "could not restore the instance's link");
            }
        }
        self.pass_docker();
        self.written = None;
        self.write_rules()
    }

    /// Lets the bridge's packets through Docker's rules. Without that instances still reach each other and the host.
    fn pass_docker(&self) {
        match docker_rules::open(&self.nft, &self.names.bridge) {
            Ok(true) => tracing::info!(bridge = self.names.bridge, "let packets through Docker's rules"),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "Docker's rules may drop packets between instances and other machines");
            }
        }
    }

    /// Whoever reloads a firewall may remove our table with the rest, and a bridge is removed as easily.
    async fn repair(&mut self) -> Result<(), NetworkError> {
        if self.purged {
            return Ok(());
        }
        // Asked before anything is looked at, so that what changes meanwhile is looked at the next time.
        let generation = generation::now();
        let unchanged = generation.is_some() && generation == self.whole_at && !legacy_tables();
        if !unchanged {
            // Docker may have been started, or its rules reloaded, meanwhile.
            self.pass_docker();
        }
        let whole = self.links.find(&self.names.bridge).await?.is_some()
            && (unchanged
                || (self.nft.has(&self.names.table)?
                    && (!self.separates || self.nft.has_separation(&self.names.table)?)));
        if whole {
            self.whole_at = generation;
            return Ok(());
        }
        tracing::warn!("somebody removed parts of the node's network; they are put back");
        self.settle().await
    }

    async fn ensure_bridge(&self) -> Result<u32, NetworkError> {
        let (range, gateway) = (self.book.range, self.book.gateway());
        let index = self.links.ensure_bridge(&self.names.bridge, range, gateway, self.mtu).await?;
        machine::ensure_route_localnet(&self.names.bridge)?;
        Ok(index)
    }

    /// Removes ports of the bridge that no record explains.
    async fn remove_strays(&self, bridge: u32) -> Result<(), NetworkError> {
        let known: Vec<String> = self.book.records.keys().map(host_end).collect();
        for link in self.links.all().await? {
            if link.controller == Some(bridge) && !known.contains(&link.name) {
                self.links.delete(&link.name).await?;
            }
        }
        Ok(())
    }

    /// Makes the kernel's tables say what the book says.
    fn write_rules(&mut self) -> Result<(), NetworkError> {
        let writing = self.begin_rules()?;
        self.end_rules(writing)
    }

    /// Begins that, beside what is done until [`Self::end_rules`].
    fn begin_rules(&mut self) -> Result<Writing, NetworkError> {
        let (nft, table) = (self.nft.clone(), self.names.table.clone());
        let rules = Rules::of(&table, &self.names.bridge, self.cluster, &self.book, self.separates);
        let before = self.written.take();
        let write = move || {
            match before {
                Some(before) => nft.change(&table, &before, &rules)?,
                None => nft.write(&table, &rules)?,
            }
            Ok(rules)
        };
        let thread = std::thread::Builder::new().name("univrs-rules".to_owned());
        thread.spawn(write).map_err(|error| failed("start a thread for the packet rules", error))
    }

    fn end_rules(&mut self, writing: Writing) -> Result<(), NetworkError> {
        let died = |_| Err(failed("write the packet rules", "the thread died"));
        self.written = Some(writing.join().unwrap_or_else(died)?);
        Ok(())
    }

    /// Takes in whose the addresses of the cluster are, and writes the rules if that changes them.
    fn separate(&mut self, mut homes: BTreeMap<Ipv4Addr, String>) -> Result<(), NetworkError> {
        // Of its own instances the node knows better.
        homes.retain(|address, _| !self.book.range.contains(*address));
        if homes == self.book.homes {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.book.homes, homes);
        if self.purged {
            return Ok(());
        }
        let written = self.write_rules().and_then(|()| self.file.save(&self.book));
        if written.is_err() {
            // So that it is tried again with the next change.
            self.book.homes = before;
        }
        written
    }

    /// Takes in which instances may send nothing out of the cluster, and writes the rules if that changes them.
    fn restrain(&mut self, mut spent: BTreeSet<Ipv4Addr>) -> Result<(), NetworkError> {
        // Others are their own nodes' matter.
        spent.retain(|address| self.book.range.contains(*address));
        if spent == self.book.spent {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.book.spent, spent);
        if self.purged {
            return Ok(());
        }
        let written = self.write_rules().and_then(|()| self.file.save(&self.book));
        if written.is_err() {
            // So that it is tried again with the next change.
            self.book.spent = before;
        }
        written
    }

    /// What the host's ends of the links have counted.
    fn traffic(&self) -> Result<BTreeMap<InstanceId, Traffic>, NetworkError> {
        // That of this thread, which is in the node's namespace.
        let text = std::fs::read_to_string("/proc/thread-self/net/dev")
            .map_err(|error| failed("read the counters of links", error))?;
        let counted = counters(&text);
        let of = |instance: &InstanceId| Some((instance.clone(), *counted.get(&*host_end(instance))?));
        Ok(self.book.records.keys().filter_map(of).collect())
    }

    /// The instance's link from the bridge into its namespace, as its record says.
    async fn ensure_link(&self, instance: &InstanceId, bridge: u32) -> Result<(), NetworkError> {
        let Some(record) = self.book.records.get(instance) else { return Ok(()) };
        let netns = open_netns(&record.netns).ok_or_else(|| {
            failed("open the namespace of the instance", format!("{} is none", record.netns.display()))
        })?;
        let inner = Inner {
            address: record.address,
            prefix: self.book.range.prefix(),
            gateway: self.book.gateway(),
            mtu: self.mtu,
        };
        let name = host_end(instance);
        let had_link = self.links.find(&name).await?.is_some();
        if !had_link {
            self.links.create_pair(&name, bridge, netns.as_raw_fd(), &inner).await?;
        }
        if !configure(&netns, inner)? {
            if !had_link {
                return Err(failed(format!("set up link {name}"), "its inner end is not there"));
            }
            // The link leads into an older namespace of the instance.
            self.links.delete(&name).await?;
            self.links.create_pair(&name, bridge, netns.as_raw_fd(), &inner).await?;
            configure(&netns, inner)?;
        }
        match self.links.find(&name).await? {
            Some(link) => self.links.ensure_port(&link, bridge).await,
            None => Err(failed(format!("set up link {name}"), "it vanished at once")),
        }
    }

    async fn attach(&mut self, request: &AttachRequest) -> Result<Attachment, NetworkError> {
        let AttachRequest { instance, org, netns, ports } = request;
        if let Some((port, holder)) = self.book.conflict(instance, ports) {
            return Err(NetworkError::PortTaken { port, holder });
        }
        let before = self.book.records.get(instance).cloned();
        let address = match &before {
            Some(record) => record.address,
            None => self.book.take_address()?,
        };
        let record =
            Record { address, org: Some(org.to_string()), netns: netns.clone(), ports: ports.clone() };
        self.book.records.insert(instance.clone(), record.clone());
        let rules_change = before.as_ref() != Some(&record);
        match self.realize(instance, before.as_ref() != Some(&record), rules_change).await {
            Ok(()) => self.book.attachment(instance).ok_or_else(|| failed("attach", "the record vanished")),
            Err(error) => {
                self.take_back(instance, before, rules_change).await;
                Err(error)
            }
        }
    }

    async fn realize(&mut self, instance: &InstanceId, save: bool, rules: bool) -> Result<(), NetworkError> {
        if std::mem::take(&mut self.purged) && machine::ensure_forwarding()? {
            self.book.forwarding_is_ours = true;
        }
        if save {
            self.file.save(&self.book)?;
        }
        let missing = self.links.find(&self.names.bridge).await?.is_none();
        let bridge = self.ensure_bridge().await?;
        if missing {
            // Somebody removed the bridge, and with it every link's place: all are put back, and the rules for certain.
            self.written = None;
            for other in self.book.records.keys().filter(|other| *other != instance) {
                if let Err(error) = self.ensure_link(other, bridge).await {
                    tracing::warn!(instance = %other, %error, "could not restore the instance's link");
                }
            }
        }
        // Rules name links and addresses that need not be there yet.
        let writing = if rules || missing { Some(self.begin_rules()?) } else { None };
        let linked = self.ensure_link(instance, bridge).await;
        let written = writing.map_or(Ok(()), |writing| self.end_rules(writing));
        linked.and(written)
    }

    /// Undoes a failed attach; what cannot be undone is logged, and the next start removes it.
    async fn take_back(&mut self, instance: &InstanceId, before: Option<Record>, rules: bool) {
        match before {
            Some(record) => drop(self.book.records.insert(instance.clone(), record)),
            None => {
                self.book.remove(instance);
                if let Err(error) = self.links.delete(&host_end(instance)).await {
                    tracing::warn!(%instance, %error, "could not take back the instance's link");
                }
            }
        }
        let rules = if rules { self.write_rules() } else { Ok(()) };
        if let Err(error) = rules.and(self.file.save(&self.book)) {
            tracing::warn!(%instance, %error, "could not take back the instance's record");
        }
    }

    async fn detach(&mut self, instance: &InstanceId) -> Result<(), NetworkError> {
        self.links.delete(&host_end(instance)).await?;
        let Some(record) = self.book.remove(instance) else { return Ok(()) };
        if let Err(error) = self.write_rules() {
            self.book.records.insert(instance.clone(), record);
            return Err(error);
        }
        self.file.save(&self.book)
    }

    async fn purge(&mut self) -> Result<(), NetworkError> {
        remove_all(&self.names, &self.links, &self.nft, &self.file, &self.book).await?;
        self.book = Book::new(self.book.range);
        self.written = None;
        self.purged = true;
        Ok(())
    }
}

/// The counters of all links by name, from the table of the kernel: what the host's end receives, the instance sent.
fn counters(text: &str) -> BTreeMap<&str, Traffic> {
    let line = |line: &'_ str| -> Option<(usize, Traffic)> {
        let (name, numbers) = line.split_once(':')?;
        let mut numbers = numbers.split_ascii_whitespace();
        let sent = numbers.next()?.parse().ok()?;
        let received = numbers.nth(7)?.parse().ok()?;
        Some((name.len(), Traffic { received, sent }))
    };
    text.lines().filter_map(|one| line(one).map(|(end, seen)| (one[..end].trim(), seen))).collect()
}

/// Removes all a node may have made, without making anything first. Parts that are missing are fine.
pub(crate) async fn remove_everything(
    names: &Names,
    state_dir: PathBuf,
    links: Links,
) -> Result<(), NetworkError> {
    machine::require_privileges()?;
    let file = BookFile::in_dir(&state_dir);
    // A damaged book must not stand in the way of a removal.
    let known = file.load().unwrap_or_else(|error| {
        tracing::warn!(%error, "what the network was cannot be read; removing what is found by its names");
        None
    });
    let book = known.or_else(|| Range::new(Ipv4Addr::UNSPECIFIED, 32).map(Book::new));
    let Some(book) = book else { return Ok(()) };
    remove_all(names, &links, &Nft::find()?, &file, &book).await
}

async fn remove_all(
    names: &Names,
    links: &Links,
    nft: &Nft,
    file: &BookFile,
    book: &Book,
) -> Result<(), NetworkError> {
    nft.remove(&names.table)?;
    docker_rules::close(nft, &names.bridge)?;
    if let Some(bridge) = links.find(&names.bridge).await? {
        for link in links.all().await? {
            if link.controller == Some(bridge.index) {
                links.delete(&link.name).await?;
            }
        }
        links.delete(&names.bridge).await?;
    }
    for instance in book.records.keys() {
        links.delete(&host_end(instance)).await?;
    }
    // Whoever has packet rules of its own may rely on the forwarding by now.
    if book.forwarding_is_ours && !nft.any_table()? && !legacy_tables() {
        machine::stop_forwarding()?;
    }
    file.delete()
}

#[cfg(test)]
mod tests {
    use univrs_ports::network::Traffic;

    use super::counters;

    #[test]
    fn counters_are_read_from_the_kernels_table() {
        let text = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      200       1    0    0    0     0       0          0
uve3f9k2m8qxzab: 1503     12    0    0    0     0          0         0   70021      99    0    0    0     0       0          0
";
        let read = counters(text);
        assert_eq!(read["uve3f9k2m8qxzab"], Traffic { received: 70_021, sent: 1503 });
        assert_eq!(read.len(), 2);
    }
}
