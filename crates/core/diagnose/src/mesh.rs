//! What is wrong between two nodes of the encrypted network, and what mends it.

use univrs_model::mesh::{MeshPath, MeshPeer};

/// So many thousandths of lost packets are noticed by people.
const MUCH_LOSS: u32 = 50;

/// What to do about a peer; nothing when all is well. `mtu` is the largest packet of the node that looks.
pub fn mesh_advice(peer: &MeshPeer, mtu: Option<u32>) -> Option<String> {
    let Some(endpoint) = &peer.endpoint else {
        return Some("it has told no address; start it with `--advertise ADDRESS`".to_owned());
    };
    match (peer.path, peer.handshake_age) {
        (MeshPath::None, None) => {
            return Some(format!(
                "never reached; let UDP pass to {endpoint} and back, in the firewalls of both machines and clouds"
            ));
        }
        (MeshPath::None, Some(age)) => {
            return Some(format!(
                "not reached for {age} s; see with `univrs node ls` whether it runs, and whether UDP passes to {endpoint}"
            ));
        }
        (MeshPath::Direct | MeshPath::Punched | MeshPath::Relayed, _) => {}
    }
    if peer.loss_per_mille == Some(1000) {
        return Some("keys are agreed on but no packet comes back; see whether its bridge is up".to_owned());
    }
    if let (Some(passes), Some(mtu)) = (peer.mtu, mtu)
        && passes < mtu
    {
        return Some(format!(
            "packets of {mtu} bytes do not come back; the path between is narrower: lower the MTU of the network below"
        ));
    }
    peer.loss_per_mille
        .filter(|loss| *loss >= MUCH_LOSS)
        .map(|loss| format!("{}.{} % of packets are lost; look at the network below", loss / 10, loss % 10))
}

#[cfg(test)]
mod tests {
    use univrs_model::ids::NodeId;
    use univrs_model::mesh::{MeshPath, MeshPeer};

    use super::mesh_advice;

    fn well() -> MeshPeer {
        MeshPeer {
            node: NodeId::from_bits(1),
            name: "n1".to_owned(),
            block: "100.64.1.0/24".to_owned(),
            endpoint: Some("10.0.0.1:51820".to_owned()),
            path: MeshPath::Direct,
            via: None,
            rtt_micros: Some(900),
            mtu: Some(1420),
            handshake_age: Some(10),
            loss_per_mille: Some(0),
            received: 1,
            sent: 1,
            advice: None,
        }
    }

    #[test]
    fn every_trouble_has_its_advice() {
        assert_eq!(mesh_advice(&well(), Some(1420)), None);
        let unreached = MeshPeer { path: MeshPath::None, handshake_age: None, ..well() };
        for (peer, word) in [
            (MeshPeer { endpoint: None, ..well() }, "--advertise"),
            (unreached, "firewalls"),
            (MeshPeer { path: MeshPath::None, handshake_age: Some(300), ..well() }, "300 s"),
            (MeshPeer { loss_per_mille: Some(1000), ..well() }, "bridge"),
            (MeshPeer { mtu: Some(44), ..well() }, "1420 bytes"),
            (MeshPeer { loss_per_mille: Some(62), ..well() }, "6.2 %"),
        ] {
            let advice = mesh_advice(&peer, Some(1420)).unwrap();
            assert!(advice.contains(word), "{advice}");
        }
        // A node that has not asked for a large echo yet has nothing to say about size.
        assert_eq!(mesh_advice(&MeshPeer { mtu: None, ..well() }, Some(1420)), None);
    }
}
