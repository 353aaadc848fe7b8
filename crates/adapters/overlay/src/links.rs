//! The interface of the encrypted network in the kernel: its size, its state and the routes to it, by netlink.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};

use futures::TryStreamExt;
use ipnet::Ipv4Net;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};

use crate::error::{OverlayError, failed};

/// Talks to the kernel about links.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    handle: Handle,
}

impl Links {
    /// A socket into the namespace of this thread, and the future that must run for it to work.
    pub(crate) fn open() -> Result<(Self, impl Future<Output = ()> + Send + use<>), OverlayError> {
        let (connection, handle, _) =
            rtnetlink::new_connection().map_err(|error| failed("open a netlink socket", error))?;
        Ok((Self { handle }, connection))
    }

    async fn all(&self) -> Result<Vec<LinkMessage>, OverlayError> {
        let links = self.handle.link().get().execute();
        links.try_collect().await.map_err(|error| failed("list links", error))
    }

    async fn index(&self, name: &str) -> Result<u32, OverlayError> {
        let links = self.all().await?;
        let found = links.iter().find(|link| {
            link.attributes.iter().any(|attribute| matches!(attribute, LinkAttribute::IfName(n) if n == name))
        });
        found
            .map(|link| link.header.index)
            .ok_or_else(|| failed(format!("look up link {name}"), "it is not there"))
    }

    /// Gives the interface its largest packet and sets it up.
    pub(crate) async fn set_up(&self, name: &str, mtu: u32) -> Result<(), OverlayError> {
        let change = LinkUnspec::new_with_index(self.index(name).await?).mtu(mtu).up().build();
        let changed = self.handle.link().set(change).execute().await;
        changed.map_err(|error| failed(format!("set up link {name}"), error))
    }

    /// Leads blocks of other nodes to the interface. Packets of this machine itself leave with `source`, which is in the
    /// node's own block, so that others take them.
    pub(crate) async fn lead(
        &self,
        name: &str,
        blocks: impl IntoIterator<Item = Ipv4Net>,
        source: Ipv4Addr,
    ) -> Result<(), OverlayError> {
        let index = self.index(name).await?;
        for block in blocks {
            let added = self.handle.route().add(route(index, block, source)).replace().execute().await;
            added.map_err(|error| failed(format!("lead {block} to link {name}"), error))?;
        }
        Ok(())
    }

    /// Ends [`Links::lead`] of a block. A route that is gone already is fine.
    pub(crate) async fn let_go(
        &self,
        name: &str,
        block: Ipv4Net,
        source: Ipv4Addr,
    ) -> Result<(), OverlayError> {
        let index = self.index(name).await?;
        let removed = self.handle.route().del(route(index, block, source)).execute().await;
        match removed {
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -NO_SUCH_ROUTE => Ok(()),
            other => other.map_err(|error| failed(format!("lead {block} no more to link {name}"), error)),
        }
    }

    /// The largest packet of the interface that has `address`, or else of the one that the default route names.
    pub(crate) async fn underlay_mtu(&self, address: Option<IpAddr>) -> Result<Option<u32>, OverlayError> {
        let by_address = match address {
            Some(address) => self.link_of(address).await?,
            None => None,
        };
        let index = match by_address {
            Some(index) => Some(index),
            None => self.default_link().await?,
        };
        let links = self.all().await?;
        let link = links.iter().find(|link| Some(link.header.index) == index);
        Ok(link.and_then(|link| {
            link.attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::Mtu(mtu) => Some(*mtu),
                _ => None,
            })
        }))
    }

    async fn link_of(&self, wanted: IpAddr) -> Result<Option<u32>, OverlayError> {
        let all: Vec<_> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|error| failed("list addresses", error))?;
        let found = all.iter().find(|message| {
            message.attributes.iter().any(|attribute| match attribute {
                AddressAttribute::Local(address) | AddressAttribute::Address(address) => *address == wanted,
                _ => false,
            })
        });
        Ok(found.map(|message| message.header.index))
    }

    async fn default_link(&self) -> Result<Option<u32>, OverlayError> {
        let query = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let routes: Vec<_> = self
            .handle
            .route()
            .get(query)
            .execute()
            .try_collect()
            .await
            .map_err(|error| failed("list routes", error))?;
        let default = routes.iter().find(|route| route.header.destination_prefix_length == 0);
        Ok(default.and_then(|route| {
            route.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Oif(index) => Some(*index),
                _ => None,
            })
        }))
    }
}

/// `ESRCH`, as the kernel says that there is no such route.
const NO_SUCH_ROUTE: i32 = 3;

fn route(index: u32, block: Ipv4Net, source: Ipv4Addr) -> RouteMessage {
    RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(block.network(), block.prefix_len())
        .output_interface(index)
        .pref_source(source)
        .build()
}
