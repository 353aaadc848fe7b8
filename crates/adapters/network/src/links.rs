//! Bridges, links, addresses and routes, by netlink. Every step is phrased as "make it so": repeating it is fine.
//!
//! A netlink socket belongs to the network namespace of the thread that opened it.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::RawFd;

use futures::TryStreamExt;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute};
use rtnetlink::{
    Handle, LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
};
use univrs_ports::network::NetworkError;

use crate::range::Range;

const NO_SUCH_DEVICE: i32 = -19;
const FILE_EXISTS: i32 = -17;
const NO_SUCH_ADDRESS: i32 = -99;

/// A link as far as this crate cares.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) up: bool,
    pub(crate) controller: Option<u32>,
}

impl Link {
    fn from_message(message: &LinkMessage) -> Self {
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            up: message.header.flags.contains(LinkFlags::Up),
            controller: None,
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Controller(index) => link.controller = Some(*index),
                _ => {}
            }
        }
        link
    }
}

/// The end of a veth pair inside an instance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inner {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix: u8,
    pub(crate) gateway: Ipv4Addr,
    pub(crate) mtu: Option<u32>,
}

/// The name of an instance's link inside its namespace.
pub(crate) const INNER_NAME: &str = "eth0";

/// A hardware address that follows from the IPv4 address, so whoever reuses the address reuses it too and no
/// neighbour's cache goes stale.
fn mac(address: Ipv4Addr) -> Vec<u8> {
    let [a, b, c, d] = address.octets();
    vec![0x02, 0x75, a, b, c, d]
}

/// Talks to the kernel about links.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    handle: Handle,
}

pub(crate) fn failed(step: impl Into<String>, reason: impl std::fmt::Display) -> NetworkError {
    NetworkError::Kernel { step: step.into(), reason: reason.to_string() }
}

fn refused(step: impl Into<String>) -> impl FnOnce(rtnetlink::Error) -> NetworkError {
    move |error| match error {
        rtnetlink::Error::NetlinkError(message) => failed(step, message.to_io()),
        other => failed(step, other),
    }
}

fn code(error: &rtnetlink::Error) -> i32 {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.raw_code(),
        _ => 0,
    }
}

/// Turns an answer with an expected code into success.
fn unless(expected: i32, result: Result<(), rtnetlink::Error>) -> Result<(), rtnetlink::Error> {
    result.or_else(|error| if code(&error) == expected { Ok(()) } else { Err(error) })
}

impl Links {
    /// A socket into the namespace of this thread, and the future that must run for it to work.
    pub(crate) fn open() -> Result<(Self, impl Future<Output = ()> + Send + use<>), NetworkError> {
        let (connection, handle, _) =
            rtnetlink::new_connection().map_err(|error| failed("open a netlink socket", error))?;
        Ok((Self { handle }, connection))
    }

    pub(crate) async fn all(&self) -> Result<Vec<Link>, NetworkError> {
        let messages: Vec<LinkMessage> =
            self.handle.link().get().execute().try_collect().await.map_err(refused("list links"))?;
        Ok(messages.iter().map(Link::from_message).collect())
    }

    pub(crate) async fn find(&self, name: &str) -> Result<Option<Link>, NetworkError> {
        let mut found = self.handle.link().get().match_name(name).execute();
        match found.try_next().await {
            Ok(message) => Ok(message.as_ref().map(Link::from_message)),
            Err(error) if code(&error) == NO_SUCH_DEVICE => Ok(None),
            Err(error) => Err(refused(format!("look up link {name}"))(error)),
        }
    }

    /// Removes a link; one that is not there is fine.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), NetworkError> {
        let Some(link) = self.find(name).await? else { return Ok(()) };
        let result = self.handle.link().del(link.index).execute().await;
        unless(NO_SUCH_DEVICE, result).map_err(refused(format!("delete link {name}")))
    }

    /// A bridge with a fixed hardware address, exactly one IPv4 address, and up. Returns its index.
    pub(crate) async fn ensure_bridge(
        &self,
        name: &str,
        range: Range,
        gateway: Ipv4Addr,
        mtu: Option<u32>,
    ) -> Result<u32, NetworkError> {
        if self.find(name).await?.is_none() {
            // Without a fixed address a bridge takes the lowest one of its ports, and changes with them.
            let message = LinkBridge::new(name).down().address(mac(gateway)).build();
            let result = self.handle.link().add(message).execute().await;
            unless(FILE_EXISTS, result).map_err(refused(format!("create bridge {name}")))?;
        }
        let Some(bridge) = self.find(name).await? else {
            return Err(failed(format!("create bridge {name}"), "it vanished at once"));
        };
        self.ensure_only_address(bridge.index, name, gateway, range.prefix()).await?;
        let change = LinkUnspec::new_with_index(bridge.index).up();
        let change = if let Some(mtu) = mtu { change.mtu(mtu) } else { change };
        self.handle
            .link()
            .set(change.build())
            .execute()
            .await
            .map_err(refused(format!("set bridge {name} up")))?;
        Ok(bridge.index)
    }

    /// A veth pair whose host end is a port of the bridge and whose inner end is born inside `netns`.
    pub(crate) async fn create_pair(
        &self,
        host_end: &str,
        bridge: u32,
        netns: RawFd,
        inner: &Inner,
    ) -> Result<(), NetworkError> {
        let peer = LinkMessageBuilder::<LinkUnspec>::new()
            .name(INNER_NAME)
            .setns_by_fd(netns)
            .address(mac(inner.address));
        let peer = if let Some(mtu) = inner.mtu { peer.mtu(mtu) } else { peer };
        let pair = LinkVeth::new(host_end, INNER_NAME)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())))
            .controller(bridge);
        let pair = if let Some(mtu) = inner.mtu { pair.mtu(mtu) } else { pair };
        self.handle
            .link()
            .add(pair.build())
            .execute()
            .await
            .map_err(refused(format!("create link {host_end}")))
    }

    /// Makes the host end a port of the bridge that may send a frame back where it came from, and sets it up.
    ///
    /// Sending back is what lets an instance reach its own published port when bridged frames pass netfilter.
    pub(crate) async fn ensure_port(&self, link: &Link, bridge: u32) -> Result<(), NetworkError> {
        let step = |what: &str| format!("{what} link {}", link.name);
        if link.controller != Some(bridge) {
            let change = LinkUnspec::new_with_index(link.index).controller(bridge).build();
            self.handle.link().set(change).execute().await.map_err(refused(step("bridge")))?;
        }
        let port = LinkBridgePort::new(link.index).hairpin(true).build();
        self.handle.link().set_port(port).execute().await.map_err(refused(step("set the bridge port of")))?;
        if !link.up {
            let change = LinkUnspec::new_with_index(link.index).up().build();
            self.handle.link().set(change).execute().await.map_err(refused(step("set up")))?;
        }
        Ok(())
    }

    /// Inside an instance's namespace: loopback, address, default route. False when its link is not there.
    pub(crate) async fn configure_inner(&self, inner: &Inner) -> Result<bool, NetworkError> {
        let Some(link) = self.find(INNER_NAME).await? else { return Ok(false) };
        for name in ["lo", INNER_NAME] {
            if name == INNER_NAME {
                self.ensure_only_address(link.index, name, inner.address, inner.prefix).await?;
            }
            let change = LinkUnspec::new_with_name(name).up().build();
            self.handle
                .link()
                .set(change)
                .execute()
                .await
                .map_err(refused(format!("set link {name} up inside")))?;
        }
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(inner.gateway).build();
        let step = "set the default route inside";
        self.handle.route().add(route).replace().execute().await.map_err(refused(step))?;
        Ok(true)
    }

    /// The link has this IPv4 address and no other.
    async fn ensure_only_address(
        &self,
        index: u32,
        name: &str,
        address: Ipv4Addr,
        prefix: u8,
    ) -> Result<(), NetworkError> {
        let mut present = false;
        for message in self.addresses().await?.into_iter().filter(|message| message.header.index == index) {
            if address_of(&message) == Some(address) && message.header.prefix_len == prefix {
                present = true;
                continue;
            }
            let result = self.handle.address().del(message).execute().await;
            unless(NO_SUCH_ADDRESS, result).map_err(refused(format!("take an old address from {name}")))?;
        }
        if !present {
            let request = self.handle.address().add(index, IpAddr::V4(address), prefix);
            unless(FILE_EXISTS, request.execute().await)
                .map_err(refused(format!("give {address} to {name}")))?;
        }
        Ok(())
    }

    async fn addresses(&self) -> Result<Vec<AddressMessage>, NetworkError> {
        let all: Vec<AddressMessage> =
            self.handle.address().get().execute().try_collect().await.map_err(refused("list addresses"))?;
        Ok(all.into_iter().filter(|message| message.header.family == AddressFamily::Inet).collect())
    }

    /// The first address of an interface other than `except` that overlaps the range: interface and address.
    pub(crate) async fn overlap(
        &self,
        range: Range,
        except: &[&str],
    ) -> Result<Option<(String, String)>, NetworkError> {
        let links = self.all().await?;
        for message in self.addresses().await? {
            let Some(address) = address_of(&message) else { continue };
            let prefix = message.header.prefix_len;
            let name = links.iter().find(|link| link.index == message.header.index);
            let name = name.map_or("unknown", |link| link.name.as_str());
            let overlaps = Range::new(address, prefix).is_some_and(|other| other.overlaps(&range));
            if overlaps && !except.contains(&name) {
                return Ok(Some((name.to_owned(), format!("{address}/{prefix}"))));
            }
        }
        Ok(None)
    }

    /// All ranges that an address or a route of this machine names, the default route aside.
    pub(crate) async fn used_ranges(&self) -> Result<Vec<Range>, NetworkError> {
        let mut ranges: Vec<Range> = (self.addresses().await?.iter())
            .filter_map(|message| Range::new(address_of(message)?, message.header.prefix_len))
            .collect();
        let query = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let routes: Vec<_> =
            self.handle.route().get(query).execute().try_collect().await.map_err(refused("list routes"))?;
        for route in routes {
            let prefix = route.header.destination_prefix_length;
            let target = route.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(*address),
                _ => None,
            });
            if let Some(range) = target.filter(|_| prefix > 0).and_then(|target| Range::new(target, prefix)) {
                ranges.push(range);
            }
        }
        Ok(ranges)
    }
}

/// The interface's own address: on a point-to-point link `Address` is the other end's.
fn address_of(message: &AddressMessage) -> Option<Ipv4Addr> {
    let pick = |wanted_local: bool| {
        message.attributes.iter().find_map(move |attribute| match attribute {
            AddressAttribute::Local(IpAddr::V4(address)) if wanted_local => Some(*address),
            AddressAttribute::Address(IpAddr::V4(address)) if !wanted_local => Some(*address),
            _ => None,
        })
    };
    pick(true).or_else(|| pick(false))
}
