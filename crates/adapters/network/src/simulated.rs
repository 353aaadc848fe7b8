//! A network that exists in memory only, for simulated runtimes and for machines without privileges.

use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use univrs_model::ids::InstanceId;
use univrs_ports::network::{AttachRequest, Attachment, Network, NetworkError};

use crate::range::Range;
use crate::records::{Book, Record};

/// Addresses and ports by the rules of a real node, with no kernel behind them; but for one: a block that is used up
/// gives its addresses out again, as they lead nowhere and a simulated node may have more instances than a real one.
#[derive(Debug)]
pub struct SimulatedNetwork {
    book: Mutex<Book>,
}

impl SimulatedNetwork {
    /// A network that hands out addresses of the range.
    pub fn new(range: Range) -> Self {
        Self { book: Mutex::new(Book::new(range)) }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Every change is a single step, so a book left by a panic is whole.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Network for SimulatedNetwork {
    async fn attach(&self, request: &AttachRequest) -> Result<Attachment, NetworkError> {
        let AttachRequest { instance, org, netns, ports } = request;
        let mut book = self.book();
        if let Some((port, holder)) = book.conflict(instance, ports) {
            return Err(NetworkError::PortTaken { port, holder });
        }
        let known = book.records.get(instance).map(|record| record.address);
        let address = match known {
            Some(address) => address,
            None => match book.take_address() {
                Err(NetworkError::RangeExhausted { .. }) => book.shared_address(),
                taken => taken?,
            },
        };
        let org = Some(org.to_string());
        let record = Record { address, org, netns: netns.clone(), ports: ports.clone() };
        book.records.insert(instance.clone(), record);
        Ok(Attachment {
            instance: instance.clone(),
            address,
            prefix_len: book.range.prefix(),
            gateway: book.gateway(),
            ports: ports.clone(),
        })
    }

    async fn detach(&self, instance: &InstanceId) -> Result<(), NetworkError> {
        self.book().remove(instance);
        Ok(())
    }

    async fn attached(&self) -> Result<Vec<Attachment>, NetworkError> {
        Ok(self.book().attachments())
    }

    fn gateway(&self) -> Option<Ipv4Addr> {
        None
    }

    async fn purge(&self) -> Result<(), NetworkError> {
        let mut book = self.book();
        *book = Book::new(book.range);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use univrs_model::ids::InstanceId;
    use univrs_model::workload::Protocol;
    use univrs_ports::network::{AttachRequest, Network, NetworkError, PublishedPort};

    use super::SimulatedNetwork;

    fn request(bits: u128, host_port: u16) -> AttachRequest {
        let ports = vec![PublishedPort { host_port, container_port: 80, protocol: Protocol::Tcp }];
        AttachRequest {
            instance: InstanceId::from_bits(bits),
            org: univrs_model::name::Name::default_org(),
            netns: "/none".into(),
            ports,
        }
    }

    #[tokio::test]
    async fn it_has_room_for_more_than_its_block() {
        let network = SimulatedNetwork::new("100.64.0.0/29".parse().unwrap());
        for number in 1..=20 {
            let given = network.attach(&request(number, u16::try_from(number).unwrap())).await.unwrap();
            assert!(given.address > given.gateway);
        }
    }

    #[tokio::test]
    async fn it_keeps_the_rules_of_a_real_network() {
        let network = SimulatedNetwork::new("100.64.0.0/24".parse().unwrap());
        let first = network.attach(&request(1, 80)).await.unwrap();
        assert_eq!(network.attach(&request(1, 80)).await.unwrap(), first);
        let error = network.attach(&request(2, 80)).await.unwrap_err();
        assert!(matches!(error, NetworkError::PortTaken { port: 80, .. }));
        assert_eq!(network.attached().await.unwrap(), std::slice::from_ref(&first));
        network.detach(&first.instance).await.unwrap();
        network.detach(&first.instance).await.unwrap();
        let second = network.attach(&request(2, 80)).await.unwrap();
        assert_ne!(second.address, first.address);
        network.purge().await.unwrap();
        assert!(network.attached().await.unwrap().is_empty());
    }
}
