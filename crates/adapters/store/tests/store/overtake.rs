//! Small frames overtake large ones on their way to a member, as they do on connections of their own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use univrs_ports::store::{ClusterAdmin, MemberId};
use univrs_store::wire::{TcpDial, WireTransport};
use univrs_store::{Transport, TransportError};

use crate::cluster::{CLUSTER, same_state, steady, three_of};
use crate::support::put;

/// Larger than this is slow.
const LARGE: usize = 10_000;

/// Large frames take a while.
struct Slow(WireTransport);

#[async_trait]
impl Transport for Slow {
    async fn call(
        &self,
        to: MemberId,
        address: &str,
        frame: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, TransportError> {
        if frame.len() > LARGE {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.0.call(to, address, frame, timeout).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_that_overtake_others_harm_nothing() {
    let nodes = three_of(|options| {
        steady(options);
        options.transport = Arc::new(Slow(WireTransport::new(Arc::new(TcpDial), Some(CLUSTER))));
    })
    .await;
    let store = &nodes[0].store;
    let large = async {
        for number in 0..40_u8 {
            put(store, &format!("large/{number}"), vec![number; 2 * LARGE]).await;
        }
    };
    let small = async {
        for number in 0..400 {
            put(store, &format!("small/{number}"), "x").await;
        }
    };
    tokio::join!(large, small);
    assert_eq!(store.status().await.unwrap().leader, Some(MemberId(1)), "the leader leads all the time");
    same_state(&[&nodes[0].store, &nodes[1].store, &nodes[2].store]).await;
}
