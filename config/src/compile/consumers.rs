//! Consumers: who is told of events by webhook.

use std::{collections::BTreeMap, sync::Arc};

use vestibule_routing::id::ConsumerId;

use super::{
    Compiler,
    providers::{SECRETS_MAX, is_address},
};
use crate::{
    diagnostic::{Code, step},
    document::ConsumerDoc,
};

/// Every consumer by its id.
pub type Consumers = BTreeMap<ConsumerId, Arc<ConsumerDoc>>;

impl Compiler<'_> {
    pub(super) fn consumers(&mut self) {
        let parts = self.next.parts.clone();
        for (id, doc) in &parts.consumers {
            self.consumer(doc, &format!("/consumers/{}", step(id.as_str())));
        }
        if *self.next.consumers != parts.consumers {
            self.next.consumers = Arc::new(parts.consumers.clone());
        }
    }

    fn consumer(&mut self, doc: &ConsumerDoc, path: &str) {
        if doc.secrets.is_empty() || doc.secrets.len() > SECRETS_MAX {
            let sentence = "requests are signed: name 1 to 4 secrets";
            self.findings.add(Code::BadConsumer, format!("{path}/secrets"), sentence);
        }
        if !is_address(&doc.url) {
            let sentence = format!("\"{}\" is no address without query and fragment", doc.url);
            self.findings.add(Code::BadConsumer, format!("{path}/url"), sentence);
        }
        let known = self.context.event_types;
        for (index, name) in doc.types.iter().enumerate() {
            if !known.is_empty() && !known.contains(&name.as_str()) {
                let sentence = format!("\"{name}\" is no type of event");
                self.findings.add(Code::BadConsumer, format!("{path}/types/{index}"), sentence);
            }
        }
    }
}
