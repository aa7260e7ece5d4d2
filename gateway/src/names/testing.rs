//! A name server on loopback, for tests.

use std::collections::HashMap;

use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::TXT},
};
use tokio::net::UdpSocket;
use vestibule_config::settings::DnsServer;

/// A name server that knows these records, and no others.
pub(crate) async fn name_server(records: &[(&str, RData)]) -> DnsServer {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let mut known: HashMap<(Name, RecordType), Vec<RData>> = HashMap::new();
    for (name, data) in records {
        known.entry((Name::from_ascii(name).unwrap(), data.record_type())).or_default().push(data.clone());
    }
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            let asked = Message::from_vec(&buffer[..length]).unwrap();
            let query = asked.queries[0].clone();
            let key = (query.name().to_lowercase(), query.query_type());
            let exists = known.keys().any(|(name, _)| *name == key.0);
            let mut answer = Message::response(asked.metadata.id, asked.metadata.op_code);
            answer.metadata.recursion_available = true;
            answer.metadata.response_code =
                if exists { ResponseCode::NoError } else { ResponseCode::NXDomain };
            answer.add_query(query.clone());
            for data in known.get(&key).into_iter().flatten() {
                answer.add_answer(Record::from_rdata(query.name().clone(), 60, data.clone()));
            }
            socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
        }
    });
    DnsServer(address)
}

/// A name server that hears everything and never answers.
pub(crate) async fn deaf_name_server() -> DnsServer {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while socket.recv_from(&mut buffer).await.is_ok() {}
    });
    DnsServer(address)
}

/// A text record.
pub(crate) fn txt(text: &str) -> RData {
    let pieces = text.as_bytes().chunks(250).map(|piece| String::from_utf8_lossy(piece).into_owned());
    RData::TXT(TXT::new(pieces.collect()))
}
